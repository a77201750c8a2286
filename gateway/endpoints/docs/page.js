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
let wildcards = [];
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
    wildcards = wildcardPaths(ui.specSelectors.specJson().toJS());
    document.body.dataset.ready = "true";
  },
  requestInterceptor: (request) => {
    if (!request.loadSpec) request.url = withSlashes(request.url, request.method, wildcards);
    return request;
  },
});
