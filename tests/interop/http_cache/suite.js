// Serves the origin of the public suite of HTTP caches on the loopback interface, and runs tests.
//
// Prints one line of JSON: `{"port": …, "tests": {id: names that its responses vary by}}`. Then reads
// one, `{"base": URL of the cache, "ids": [id, …]}`, runs these tests through the cache, and prints
// their results: `[[id, kind, passed, why not], …]`. `HTTP_CACHE_TESTS` is the folder of the suite:
// as npm has it, or a newer checkout of its repository.
import { existsSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'

const folder = process.env.HTTP_CACHE_TESTS ||
  path.resolve(path.dirname(fileURLToPath(import.meta.url)), 'node_modules/http-cache-tests')
const isNewer = existsSync(`${folder}/test-engine`)
const engine = isNewer ? `${folder}/test-engine` : folder
const { getResults, runTests } = await import(`${engine}/client/runner.mjs`)
const suites = (await import(`${folder}/tests/index.mjs`)).default
const handlers = {}
for (const kind of ['config', 'state', 'test']) {
  handlers[kind] = (await import(`${engine}/server/handle-${kind}.mjs`)).default
}

// What the suite prints about itself must not be among the results.
console.log = console.error
const print = value => new Promise(resolve => process.stdout.write(JSON.stringify(value) + '\n', resolve))

const server = http.createServer((request, response) => {
  const [kind, ...rest] = new URL(request.url, 'http://origin').pathname.split('/').slice(1)
  handlers[kind](rest, request, response)
})
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))

const tests = suites.flatMap(suite => suite.tests).filter(test => !test.browser_only)
const varyOf = test => test.requests
  .flatMap(request => request.response_headers || [])
  .filter(header => header[0].toLowerCase() === 'vary')
  .flatMap(header => header[1].toLowerCase().split(','))
  .map(name => name.trim())
  .filter(name => name && name !== '*')
await print({
  port: server.address().port,
  tests: Object.fromEntries(tests.map(test => [test.id, [...new Set(varyOf(test))].sort()]))
})

const lines = readline.createInterface({ input: process.stdin })
const { base, ids } = JSON.parse((await lines[Symbol.asyncIterator]().next()).value)
const wanted = new Set(ids)
const chosen = [{ tests: tests.filter(test => wanted.has(test.id)) }]
if (isNewer) {
  await runTests(chosen, false, base, 60)
} else {
  const { default: fetch } = await import('node-fetch')
  await runTests(chosen, fetch, false, base, 60)
}
const results = getResults()
await print(chosen[0].tests.map(test => {
  const result = results[test.id]
  return [test.id, test.kind ?? 'required', result === true, result === true ? '' : String(result)]
}))
process.exit(0)
