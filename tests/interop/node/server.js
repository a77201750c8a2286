// A gRPC server of bytes by grpc-js; controlled like the one in ../go/main.go, which says how.

import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js";

const asBytes = (value) => Buffer.from(value);
const metadata = (pairs) => {
  const made = new Metadata();
  pairs.forEach(([name, value]) => made.add(name, value));
  return made;
};

/** A length-delimited protobuf field. */
const field = (number, bytes) =>
  Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);

/** A google.rpc.Status with one detail, a google.protobuf.StringValue. */
const detailed = (code, message) =>
  Buffer.concat([
    Buffer.from([8, code]),
    field(2, asBytes(message)),
    field(3, Buffer.concat([
      field(1, asBytes("type.googleapis.com/google.protobuf.StringValue")),
      field(2, field(1, asBytes("why"))),
    ])),
  ]);

const wanted = (request) => {
  const [, code, details] = request.toString().match(/^(\d+) ?(.*)$/s);
  return { code: Number(code), details };
};

/** What each method does: `tell` an event, and answer by `reply` or `fail`. */
const methods = (watch) => {
  const noticed = (call) => call.on("cancelled", () => watch.tell({ event: "cancelled" }));
  const unary = (f) => (call) => {
    call.once("data", (request) => f(call, request));
    call.on("error", () => {});
  };
  const answer = (call, reply, trailers) => {
    call.write(reply);
    call.end(trailers);
  };
  const fail = (call, error) => call.emit("error", error);

  return {
    Echo: unary(async (call, request) => {
      const given = call.metadata.toHttp2Headers();
      const names = Object.keys(given);
      const pairs = names.flatMap((name) => call.metadata.get(name).map((value) => [name, value]));
      await watch.metadata(pairs);
      call.sendMetadata(metadata(pairs.filter(([name]) => name.startsWith("x-"))));
      answer(call, request, metadata([["t-one", "1"], ["t-bin", Buffer.from([0, 255])]]));
    }),
    Sized: unary((call, request) => answer(call, Buffer.alloc(Number(request.toString())))),
    Fail: unary((call, request) => {
      const error = wanted(request);
      const details = detailed(error.code, error.details);
      call.sendMetadata(metadata([["x-before", "1"]]));
      const trailers = metadata([["grpc-status-details-bin", details], ["x-after", "2"]]);
      fail(call, { ...error, metadata: trailers });
    }),
    AbortNow: unary((call) => fail(call, { code: status.NOT_FOUND, details: "gone" })),
    Refuse: unary((call, request) => fail(call, wanted(request))),
    // It reads nothing, so that a sender is held back.
    Hang: (call) => {
      noticed(call);
      watch.tell({ event: "started" });
    },
    Brief: unary((call) => {
      watch.tell({ event: "started" });
      setTimeout(() => answer(call, asBytes("done")), 300);
    }),
    Count: unary((call, request) => {
      const [number, code] = request.toString().split(" ");
      const trailers = metadata([["t-count", number]]);
      call.sendMetadata(metadata([["x-count", number]]));
      for (let i = 0; i < Number(number); i++) call.write(asBytes(String(i)));
      if (code) fail(call, { code: status.DATA_LOSS, details: "lost", metadata: trailers });
      else call.end(trailers);
    }),
    Flood: unary((call) => {
      noticed(call);
      watch.tell({ event: "started" });
      const produce = () => {
        if (call.cancelled) return;
        watch.tell({ event: "produced" });
        if (call.write(Buffer.alloc(100_000))) setImmediate(produce);
        else call.once("drain", produce);
      };
      produce();
    }),
    Collect: (call) => {
      const all = [];
      noticed(call);
      call.on("data", (request) => all.push(request.toString()));
      call.on("end", () => answer(call, asBytes(all.join(","))));
    },
    Talk: (call) => {
      noticed(call);
      call.on("data", (request) => {
        // A writer that does not wait would keep what its reader leaves behind.
        if (!call.write(Buffer.from(request).reverse())) {
          call.pause();
          call.once("drain", () => call.resume());
        }
      });
      call.on("end", () => call.end());
    },
    Interrupt: (call) => {
      call.once("data", () => fail(call, { code: status.DATA_LOSS, details: "enough" }));
    },
  };
};

const definition = (name) => ({
  path: `/test.v1.Bytes/${name}`,
  requestStream: true,
  responseStream: true,
  requestSerialize: asBytes,
  requestDeserialize: asBytes,
  responseSerialize: asBytes,
  responseDeserialize: asBytes,
});

const control = (connection) => {
  const acknowledged = [];
  const watch = {
    tell: (event) => connection.write(`${JSON.stringify(event)}\n`),
    metadata: (pairs) =>
      new Promise((resolve) => {
        acknowledged.push(resolve);
        const plain = ([name, value]) =>
          [name, Buffer.isBuffer(value) ? value.toString("base64") : value];
        watch.tell({ event: "metadata", metadata: pairs.map(plain) });
      }),
  };
  const server = new Server({ "grpc.max_receive_message_length": -1 });
  const handlers = methods(watch);
  const definitions = Object.keys(handlers).map((name) => [name, definition(name)]);
  server.addService(Object.fromEntries(definitions), handlers);
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    watch.tell({ port });
  });
  const commands = {
    ack: () => acknowledged.shift()(),
    drain: () => server.tryShutdown(() => {}),
    stop: () => {
      server.forceShutdown();
      watch.tell({ event: "stopped" });
    },
  };
  const lines = createInterface({ input: connection });
  lines.on("line", (line) => commands[line]());
  // readline emits its input's error again: unheard, one test's reset would end all of them.
  lines.on("error", () => {});
  connection.on("close", () => server.forceShutdown());
  connection.on("error", () => {});
};

process.stdin.resume().on("end", () => process.exit(0)); // whoever started it has gone
const listener = createServer(control);
listener.listen(0, "127.0.0.1", () => console.log(listener.address().port));
