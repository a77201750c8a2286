"use strict";

// A parameter marked `x-wildcard` is a `**` of the API: it has any number of segments, and the
// slashes between them are part of the path. Swagger UI encodes them, so they are decoded again.
// All paths are here, because a request must be told from one to a path that is nearly the same.
function pathTemplates(spec) {
  const servers = spec.servers?.length ? spec.servers : [{ url: "/" }];
  const fronts = servers.map(
    ({ url }) => new URL(url, document.baseURI).pathname.replace(/\/$/, ""),
  );
  const found = [];
  for (const [path, item] of Object.entries(spec.paths ?? {})) {
    for (const [method, operation] of Object.entries(item)) {
      const deep = (operation.parameters ?? []).filter((one) => one["x-wildcard"]);
      const parts = path.split(/(\{[^}]*\})/);
      const isDeep = parts.map((part) => deep.some((one) => `{${one.name}}` === part));
      const pattern = parts.map((part) =>
        part.startsWith("{") ? "([^/]*?)" : `(${part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")})`,
      );
      const literals = parts.filter((part) => !part.startsWith("{")).join("").length;
      found.push({ method, pattern: new RegExp(`^(.*?)${pattern.join("")}$`), isDeep, literals });
    }
  }
  return { fronts, templates: found.sort((one, other) => other.literals - one.literals) };
}

function withSlashes(url, method, { fronts, templates }) {
  const target = new URL(url, document.baseURI);
  for (const one of templates) {
    const match = one.method === method.toLowerCase() && one.pattern.exec(target.pathname);
    if (!match || !fronts.includes(match[1])) continue;
    const parts = match.slice(2).map((part, index) =>
      one.isDeep[index] ? part.replace(/%2F/gi, "/") : part,
    );
    return target.origin + match[1] + parts.join("") + target.search;
  }
  return url;
}

// The header fields with the credentials that the user has entered.
function credentials(authorized) {
  const headers = {};
  for (const { schema, value, token } of Object.values(authorized?.toJS() ?? {})) {
    const bearer = token?.access_token ?? (schema.type === "http" ? value : undefined);
    if (bearer) headers.Authorization = `Bearer ${bearer}`;
    else if (schema.type === "apiKey" && schema.in === "header") headers[schema.name] = value;
  }
  return headers;
}

// With `openapi.filter`, another caller has another document: it is fetched again when credentials
// are entered or removed. If they are not valid, the page stays as it is.
async function reload({ authSelectors, specActions, specSelectors }) {
  const headers = credentials(authSelectors.authorized());
  const answer = await fetch(source, { headers });
  const text = await answer.text();
  if (answer.ok && text !== specSelectors.specStr()) specActions.updateSpec(text);
}

const thenReload = (action, system) => (...given) => {
  const result = action(...given);
  reload(system);
  return result;
};

// An operation that anyone may call has no lock. Swagger UI shows the closed one, which it has for
// "authorized", if no credential is one of several alternatives.
const withoutLock = (Original, { React }) => (props) => {
  const security = props.operationProps.get("security");
  const anyone = security?.filter((one) => one.isEmpty());
  const operationProps = anyone?.size
    ? props.operationProps.set("security", anyone)
    : props.operationProps;
  return React.createElement(Original, { ...props, operationProps });
};

const api = document.getElementById("api");
const source = new URL(api.dataset.document, document.baseURI).href;
let templates = { fronts: [], templates: [] };
const ui = SwaggerUIBundle({
  url: source,
  domNode: api,
  deepLinking: true,
  displayRequestDuration: true,
  // Tokens are kept in the memory of the page alone, and no link can name another document.
  persistAuthorization: false,
  queryConfigEnabled: false,
  validatorUrl: null,
  plugins: [
    {
      wrapComponents: { OperationSummary: withoutLock },
      statePlugins: {
        auth: {
          wrapActions: { authorize: thenReload, authorizeOauth2: thenReload, logout: thenReload },
        },
      },
    },
  ],
  onComplete: () => {
    templates = pathTemplates(ui.specSelectors.specJson().toJS());
    document.body.dataset.ready = "true";
  },
  requestInterceptor: (request) => {
    if (!request.loadSpec) request.url = withSlashes(request.url, request.method, templates);
    return request;
  },
});
