// vanguard-go before a back end in another process, as its example of a proxy, on one core.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"

	"connectrpc.com/vanguard"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // error details can be written as JSON
	"google.golang.org/protobuf/encoding/protojson"

	pb "example.com/bench/v1"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "host:port")
	backend := flag.String("backend", "", "host:port")
	cert := flag.String("cert", "", "a PEM file, to serve TLS")
	key := flag.String("key", "", "a PEM file")
	flag.Parse()
	// gRPC needs HTTP/2, here without TLS.
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: *backend})
	proxy.Transport = &http.Transport{Protocols: protocols}
	proxy.FlushInterval = -1
	service := vanguard.NewServiceWithSchema(
		pb.File_bench_proto.Services().ByName("Bench"), proxy,
		vanguard.WithTargetProtocols(vanguard.ProtocolGRPC),
		vanguard.WithTargetCodecs(vanguard.CodecProto),
		vanguard.WithNoTargetCompression(),
	)
	codec := vanguard.WithCodec(func(types vanguard.TypeResolver) vanguard.Codec {
		return &vanguard.JSONCodec{
			MarshalOptions:   protojson.MarshalOptions{EmitUnpopulated: true, Resolver: types},
			UnmarshalOptions: protojson.UnmarshalOptions{Resolver: types},
		}
	})
	handler, err := vanguard.NewTranscoder([]*vanguard.Service{service}, codec)
	if err != nil {
		log.Fatal(err)
	}
	if *cert != "" {
		log.Fatal(http.ListenAndServeTLS(*listen, *cert, *key, handler))
	}
	log.Fatal(http.ListenAndServe(*listen, handler))
}
