// The beginning of grpc-gateway's own integration suite, in place of its file of this name: the
// example services run here, and the tests call another gateway.
//
// It prints the port of the services, reads the addresses of two gateways from one line, and runs
// the tests. The ports that the tests call are those of their own gateways: 8081 is one with a
// marshaler that writes the names of fields as in the .proto file, 7079 and 7080 have options in Go,
// which no other gateway has, and all others have the defaults.
package integration_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/examples/internal/server"
	gwruntime "github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

func runGateway(ctx context.Context, _ string, _ ...gwruntime.ServeMuxOption) error {
	<-ctx.Done()
	return nil
}

func waitForGateway(context.Context, uint16) error { return nil }

func TestMain(m *testing.M) {
	flag.Parse()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go server.ServeGRPC(context.Background(), listener)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		panic(err)
	}
	gateways := strings.Fields(line)
	var dialer net.Dialer
	http.DefaultTransport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		switch _, port, _ := net.SplitHostPort(address); port {
		case "7079", "7080":
			return nil, fmt.Errorf("options in Go have no counterpart")
		case "8081":
			return dialer.DialContext(ctx, network, gateways[1])
		default:
			return dialer.DialContext(ctx, network, gateways[0])
		}
	}
	os.Exit(m.Run())
}
