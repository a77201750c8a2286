// A gRPC server of bytes by grpc-go, with the interop test service beside it.
//
// It prints the port it is controlled on. Each connection to that port is one server: its first
// line is the server's own port, then come its events, one JSON object a line; "stop" ends it at
// once, "drain" when its calls have finished, and so does closing the connection.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // answers gzip with gzip
	"google.golang.org/grpc/interop"
	interopgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// bytesOrProto hands bytes through and leaves messages to protobuf.
type bytesOrProto struct{}

func (bytesOrProto) Name() string { return "proto" }

func (bytesOrProto) Marshal(v any) ([]byte, error) {
	if raw, ok := v.([]byte); ok {
		return raw, nil
	}
	return proto.Marshal(v.(proto.Message))
}

func (bytesOrProto) Unmarshal(data []byte, v any) error {
	if raw, ok := v.(*[]byte); ok {
		*raw = slices.Clone(data)
		return nil
	}
	return proto.Unmarshal(data, v.(proto.Message))
}

// watcher tells the test what its server sees.
type watcher struct {
	mu           sync.Mutex
	out          *json.Encoder
	acknowledged chan struct{}
}

func (w *watcher) tell(event map[string]any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.out.Encode(event) // a test that has left hears nothing
}

func (w *watcher) event(name string) { w.tell(map[string]any{"event": name}) }

// metadata waits until the test has it: it looks there as soon as the call has ended.
func (w *watcher) metadata(md metadata.MD) {
	pairs := [][]any{}
	for name, values := range md {
		for _, value := range values {
			if strings.HasSuffix(name, "-bin") {
				pairs = append(pairs, []any{name, []byte(value)})
			} else {
				pairs = append(pairs, []any{name, value})
			}
		}
	}
	w.tell(map[string]any{"event": "metadata", "metadata": pairs})
	<-w.acknowledged
}

// hang waits to be cancelled, for thirty seconds.
func (w *watcher) hang(ctx context.Context) {
	w.event("started")
	select {
	case <-ctx.Done():
		w.event("cancelled")
	case <-time.After(30 * time.Second):
	}
}

type handler func(w *watcher, stream grpc.ServerStream) error
type unary func(w *watcher, ctx context.Context, request []byte) ([]byte, error)

func (f unary) handle(w *watcher, stream grpc.ServerStream) error {
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	reply, err := f(w, stream.Context(), request)
	if err != nil {
		return err
	}
	return stream.SendMsg(reply)
}

func echo(w *watcher, ctx context.Context, request []byte) ([]byte, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	w.metadata(md)
	answered := metadata.MD{}
	for name, values := range md {
		if strings.HasPrefix(name, "x-") {
			answered[name] = values
		}
	}
	if err := grpc.SendHeader(ctx, answered); err != nil {
		return nil, err
	}
	return request, grpc.SetTrailer(ctx, metadata.Pairs("t-one", "1", "t-bin", "\x00\xff"))
}

func sized(_ *watcher, _ context.Context, request []byte) ([]byte, error) {
	size, err := strconv.Atoi(string(request))
	return make([]byte, size), err
}

func wanted(request []byte) *status.Status {
	code, message, _ := strings.Cut(string(request), " ")
	number, _ := strconv.Atoi(code)
	return status.New(codes.Code(number), message)
}

func fail(_ *watcher, ctx context.Context, request []byte) ([]byte, error) {
	detailed, err := wanted(request).WithDetails(wrapperspb.String("why"))
	if err != nil {
		return nil, err
	}
	if err := grpc.SendHeader(ctx, metadata.Pairs("x-before", "1")); err != nil {
		return nil, err
	}
	if err := grpc.SetTrailer(ctx, metadata.Pairs("x-after", "2")); err != nil {
		return nil, err
	}
	return nil, detailed.Err()
}

func abortNow(*watcher, context.Context, []byte) ([]byte, error) {
	return nil, status.Error(codes.NotFound, "gone")
}

func refuse(_ *watcher, _ context.Context, request []byte) ([]byte, error) {
	return nil, wanted(request).Err()
}

func hang(w *watcher, ctx context.Context, _ []byte) ([]byte, error) {
	w.hang(ctx)
	return []byte{}, ctx.Err()
}

func brief(w *watcher, _ context.Context, _ []byte) ([]byte, error) {
	w.event("started")
	time.Sleep(300 * time.Millisecond)
	return []byte("done"), nil
}

func count(_ *watcher, stream grpc.ServerStream) error {
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	number, code, _ := strings.Cut(string(request), " ")
	if err := stream.SendHeader(metadata.Pairs("x-count", number)); err != nil {
		return err
	}
	stream.SetTrailer(metadata.Pairs("t-count", number))
	size, _ := strconv.Atoi(number)
	for i := range size {
		if err := stream.SendMsg([]byte(strconv.Itoa(i))); err != nil {
			return err
		}
	}
	if code != "" {
		return status.Error(codes.DataLoss, "lost")
	}
	return nil
}

func flood(w *watcher, stream grpc.ServerStream) error {
	w.event("started")
	for {
		w.event("produced")
		if err := stream.SendMsg(make([]byte, 100_000)); err != nil {
			w.event("cancelled")
			return err
		}
	}
}

// each calls f with every message of a request, and tells of one that was cancelled.
func each(w *watcher, stream grpc.ServerStream, f func([]byte) error) error {
	for {
		var request []byte
		err := stream.RecvMsg(&request)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f(request)
		}
		if err != nil {
			w.event("cancelled")
			return err
		}
	}
}

func collect(w *watcher, stream grpc.ServerStream) error {
	var all []string
	err := each(w, stream, func(request []byte) error {
		all = append(all, string(request))
		return nil
	})
	if err != nil {
		return err
	}
	return stream.SendMsg([]byte(strings.Join(all, ",")))
}

func talk(w *watcher, stream grpc.ServerStream) error {
	return each(w, stream, func(request []byte) error {
		slices.Reverse(request)
		return stream.SendMsg(request)
	})
}

func interrupt(w *watcher, stream grpc.ServerStream) error {
	return each(w, stream, func([]byte) error {
		return status.Error(codes.DataLoss, "enough")
	})
}

var handlers = map[string]handler{
	"Echo":      unary(echo).handle,
	"Sized":     unary(sized).handle,
	"Fail":      unary(fail).handle,
	"AbortNow":  unary(abortNow).handle,
	"Refuse":    unary(refuse).handle,
	"Hang":      unary(hang).handle,
	"Brief":     unary(brief).handle,
	"Count":     count,
	"Flood":     flood,
	"Collect":   collect,
	"Talk":      talk,
	"Interrupt": interrupt,
}

func describe(w *watcher) *grpc.ServiceDesc {
	described := &grpc.ServiceDesc{ServiceName: "test.v1.Bytes", HandlerType: (*any)(nil)}
	for name, handle := range handlers {
		described.Streams = append(described.Streams, grpc.StreamDesc{
			StreamName:    name,
			Handler:       func(_ any, stream grpc.ServerStream) error { return handle(w, stream) },
			ServerStreams: true,
			ClientStreams: true,
		})
	}
	return described
}

func control(connection net.Conn) {
	defer connection.Close()
	w := &watcher{out: json.NewEncoder(connection), acknowledged: make(chan struct{}, 100)}
	server := grpc.NewServer(
		grpc.ForceServerCodec(bytesOrProto{}), grpc.MaxRecvMsgSize(math.MaxInt32),
	)
	defer server.Stop()
	server.RegisterService(describe(w), struct{}{})
	interopgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	go func() { _ = server.Serve(listener) }()
	w.tell(map[string]any{"port": listener.Addr().(*net.TCPAddr).Port})
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		switch lines.Text() {
		case "ack":
			w.acknowledged <- struct{}{}
		case "drain":
			go server.GracefulStop()
		case "stop":
			server.Stop()
			w.event("stopped")
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0) // whoever started it has gone
	}()
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go control(connection)
	}
}
