"use strict";

// A parameter marked `x-wildcard` is a `**` of the API: it has any number of segments, and the
// slashes between them are part of the path. Swagger UI encodes them, so they are decoded again.
function wildcardPaths(spec) {
  const found = [];
  for (const [path, item] of Object.entries(spec.paths ?? {})) {
    for (const [method, operation] of Object.entries(item)) {
      const deep = (operation.parameters ?? []).filter((one) => one["x-wildcard"]);
      if (deep.length === 0) continue;
      const names = [];
      const pattern = path.split(/(\{[^}]*\})/).map((part) => {
        if (!part.startsWith("{")) return part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
        names.push(part.slice(1, -1));
        return "([^/]*?)";
      });
      const isDeep = names.map((name) => deep.some((one) => one.name === name));
      found.push({ method, pattern: new RegExp(`^(.*?)${pattern.join("")}$`), names, isDeep });
    }
  }
  return found;
}

function withSlashes(url, method, wildcards) {
  const target = new URL(url, document.baseURI);
  for (const one of wildcards) {
    const match = one.method === method.toLowerCase() && one.pattern.exec(target.pathname);
    if (!match) continue;
    let path = target.pathname;
    one.isDeep.forEach((isDeep, index) => {
      const value = match[index + 2];
      if (isDeep) path = path.replace(value, value.replace(/%2F/gi, "/"));
    });
    return target.origin + path + target.search;
  }
  return url;
}

const api = document.getElementById("api");
let wildcards = [];
const ui = SwaggerUIBundle({
  url: new URL(api.dataset.document, document.baseURI).href,
  domNode: api,
  deepLinking: true,
  displayRequestDuration: true,
  // Tokens are kept in the memory of the page alone, and no link can name another document.
  persistAuthorization: false,
  queryConfigEnabled: false,
  validatorUrl: null,
  onComplete: () => {
    wildcards = wildcardPaths(ui.specSelectors.specJson().toJS());
    document.body.dataset.ready = "true";
  },
  requestInterceptor: (request) => {
    if (!request.loadSpec) request.url = withSlashes(request.url, request.method, wildcards);
    return request;
  },
});
