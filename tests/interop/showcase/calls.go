package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/googleapis/gapic-showcase/client"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
)

// timeout bounds one call with its pages, polls and retries.
const timeout = 20 * time.Second

// clients are the generated REST clients of showcase, all of one gateway.
type clients struct {
	echo       *client.EchoClient
	identity   *client.IdentityClient
	messaging  *client.MessagingClient
	sequence   *client.SequenceClient
	compliance *client.ComplianceClient
	testing    *client.TestingClient
	upload     *client.ResumableUploadClient
}

// newClients returns clients of the gateway at address, `host:port`.
func newClients(ctx context.Context, address string) (*clients, error) {
	options := []option.ClientOption{
		option.WithEndpoint("http://" + address), option.WithoutAuthentication(),
	}
	made := &clients{}
	var errs [7]error
	made.echo, errs[0] = client.NewEchoRESTClient(ctx, options...)
	made.identity, errs[1] = client.NewIdentityRESTClient(ctx, options...)
	made.messaging, errs[2] = client.NewMessagingRESTClient(ctx, options...)
	made.sequence, errs[3] = client.NewSequenceRESTClient(ctx, options...)
	made.compliance, errs[4] = client.NewComplianceRESTClient(ctx, options...)
	made.testing, errs[5] = client.NewTestingRESTClient(ctx, options...)
	made.upload, errs[6] = client.NewResumableUploadRESTClient(ctx, options...)
	return made, errors.Join(errs[:]...)
}

// call is one use of the clients, named for the report.
type call struct {
	name string
	make func(ctx context.Context, to *clients) error
}

// makeCalls makes all calls at once and writes a line for each to output.
func makeCalls(address string, output io.Writer) error {
	to, err := newClients(context.Background(), address)
	if err != nil {
		return err
	}
	var calls []call
	for _, some := range [][]call{
		echoCalls, userCalls, roomCalls, sequenceCalls, mixinCalls, sessionCalls, complianceCalls(),
	} {
		calls = append(calls, some...)
	}
	var running sync.WaitGroup
	var writing sync.Mutex
	for _, made := range calls {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			result := "ok"
			if err := made.make(ctx, to); err != nil {
				result = strings.ReplaceAll(fmt.Sprintf("%T: %v", err, err), "\n", " ")
			}
			writing.Lock()
			defer writing.Unlock()
			fmt.Fprintf(output, "%s\t%s\n", made.name, result)
		})
	}
	running.Wait()
	return nil
}

// same returns an error if got is not want; messages are compared by their fields.
func same(got, want any) error {
	if difference := cmp.Diff(want, got, protocmp.Transform()); difference != "" {
		return fmt.Errorf("(-want +got) %s", difference)
	}
	return nil
}

// failed returns an error if err is not an error of the API with this code.
func failed(err error, want codes.Code) error {
	if ofHTTP := (*apierror.APIError)(nil); errors.As(err, &ofHTTP) && ofHTTP.HTTPCode() > 0 {
		return same(ofHTTP.HTTPCode(), httpCodes[want])
	}
	// An operation that failed holds the error of the service itself.
	parsed, ok := apierror.FromError(err)
	if !ok {
		return fmt.Errorf("got %v, want an error with code %v", err, want)
	}
	return same(parsed.GRPCStatus().Code(), want)
}

// httpCodes are the HTTP statuses of google.rpc.Code that the calls expect.
var httpCodes = map[codes.Code]int{
	codes.InvalidArgument: 400,
	codes.NotFound:        404,
	codes.AlreadyExists:   409,
	codes.Aborted:         409,
	codes.Unavailable:     503,
}

// all returns the items of an iterator of pages.
func all[T any](next func() (T, error)) ([]T, error) {
	var items []T
	for {
		item, err := next()
		if errors.Is(err, iterator.Done) {
			return items, nil
		}
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
}

// received returns the messages of a stream, and the error that ended it early.
func received[T any](receive func() (T, error)) ([]T, error) {
	var messages []T
	for {
		message, err := receive()
		if errors.Is(err, io.EOF) {
			return messages, nil
		}
		if err != nil {
			return messages, err
		}
		messages = append(messages, message)
	}
}
