// grpc-gateway v2, set up as its documentation shows, on one core.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // error details can be written as JSON
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	pb "example.com/bench/v1"
)

// Server-sent events, as in its documentation.
type events struct{ runtime.JSONPb }

func (*events) ContentType(any) string { return "text/event-stream" }

func (*events) Delimiter() []byte { return []byte("\n\n") }

func (e *events) Marshal(message any) ([]byte, error) {
	data, err := e.JSONPb.Marshal(message)
	return append([]byte("data: "), data...), err
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "host:port")
	backend := flag.String("backend", "", "host:port")
	cert := flag.String("cert", "", "a PEM file, to serve TLS")
	key := flag.String("key", "", "a PEM file")
	flag.Parse()
	mux := runtime.NewServeMux(runtime.WithMarshalerOption("text/event-stream", &events{
		JSONPb: runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{EmitUnpopulated: true}},
	}))
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64 << 20)),
	}
	if err := pb.RegisterBenchHandlerFromEndpoint(context.Background(), mux, *backend, options); err != nil {
		log.Fatal(err)
	}
	if *cert != "" {
		log.Fatal(http.ListenAndServeTLS(*listen, *cert, *key, mux))
	}
	log.Fatal(http.ListenAndServe(*listen, mux))
}
