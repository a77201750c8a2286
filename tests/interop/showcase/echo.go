package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/googleapis/gapic-showcase/server/genproto"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

const text = "the quick brown fox jumps"

// broken is the error that a service is asked to answer with.
var broken = &status.Status{Code: int32(codes.Unavailable), Message: "broken on request"}

var echoCalls = []call{
	{"Echo", echoContent},
	{"Echo, failing", echoError},
	{"EchoErrorDetails", echoErrorDetails},
	{"FailEchoWithDetails", failEchoWithDetails},
	{"Expand", expand},
	{"Expand, a pause between messages", expandSlowly},
	{"Expand, failing", expandError},
	{"Expand, failing after messages", expandLateError},
	{"PagedExpand", pagedExpand},
	{"PagedExpand, a wrong token", pagedExpandWrongToken},
	{"PagedExpandLegacy", pagedExpandLegacy},
	{"PagedExpandLegacyMapped", pagedExpandLegacyMapped},
	{"Wait", wait},
	{"Wait, failing", waitError},
	{"Block", block},
	{"Block, failing", blockError},
	{"Block, the client's deadline", blockTooLong},
}

func contents(messages []*genproto.EchoResponse) string {
	var words []string
	for _, message := range messages {
		words = append(words, message.GetContent())
	}
	return strings.Join(words, " ")
}

func echoContent(ctx context.Context, to *clients) error {
	request := &genproto.EchoRequest{
		Response:       &genproto.EchoRequest_Content{Content: "café ☕ \x00 </script>"},
		Severity:       genproto.Severity_CRITICAL,
		Header:         "projects/p/instances/i/tables/t",
		OtherHeader:    "projects/é",
		RequestId:      "f47ac10b-58cc-4372-8567-0e02b2c3d479",
		OtherRequestId: proto.String("16fd2706-8baf-433b-82eb-8c7fada847da"),
	}
	reply, err := to.echo.Echo(ctx, request)
	if err != nil {
		return err
	}
	return same(reply, &genproto.EchoResponse{
		Content:        request.GetContent(),
		Severity:       request.GetSeverity(),
		RequestId:      request.GetRequestId(),
		OtherRequestId: request.GetOtherRequestId(),
	})
}

func echoError(ctx context.Context, to *clients) error {
	request := &genproto.EchoRequest{Response: &genproto.EchoRequest_Error{
		Error: &status.Status{Code: int32(codes.NotFound), Message: "no such echo"},
	}}
	_, err := to.echo.Echo(ctx, request)
	if err == nil || !strings.Contains(err.Error(), "no such echo") {
		return fmt.Errorf("the message is missing: %w", err)
	}
	return failed(err, codes.NotFound)
}

func echoErrorDetails(ctx context.Context, to *clients) error {
	reply, err := to.echo.EchoErrorDetails(ctx, &genproto.EchoErrorDetailsRequest{
		SingleDetailText: "one", MultiDetailText: []string{"two", "three"},
	})
	if err != nil {
		return err
	}
	details := append(
		reply.GetMultipleDetails().GetError().GetDetails(),
		reply.GetSingleDetail().GetError().GetDetails(),
	)
	var reasons []string
	for _, detail := range details {
		message, err := detail.UnmarshalNew()
		if err != nil {
			return err
		}
		reasons = append(reasons, message.(interface{ GetReason() string }).GetReason())
	}
	return same(reasons, []string{"two", "three", "one"})
}

func failEchoWithDetails(ctx context.Context, to *clients) error {
	_, err := to.echo.FailEchoWithDetails(ctx, &genproto.FailEchoWithDetailsRequest{Message: "ode"})
	if err := failed(err, codes.Aborted); err != nil {
		return err
	}
	var parsed *apierror.APIError
	if !errors.As(err, &parsed) {
		return fmt.Errorf("the error is of another kind: %w", err)
	}
	details := parsed.Details()
	poem := &genproto.PoetryError{}
	if err := details.ExtractProtoMessage(poem); err != nil {
		return err
	}
	got := []any{
		parsed.Reason(),
		poem.GetPoem(),
		details.LocalizedMessage.GetLocale(),
		details.RetryInfo.GetRetryDelay().AsDuration(),
		details.DebugInfo.GetDetail(),
		len(details.QuotaFailure.GetViolations()),
		len(details.PreconditionFailure.GetViolations()),
		len(details.BadRequest.GetFieldViolations()),
		details.RequestInfo.GetRequestId(),
		details.ResourceInfo.GetResourceType(),
		len(details.Help.GetLinks()),
	}
	return same(got, []any{
		"some ErrorInfo reason", "ode", "fr-CH", 11 * time.Second, "a DebugInfo detail", 2, 2, 2,
		"RequestInfo: showcase-request-id", "ResourceInfo: showcase resource", 2,
	})
}

func expand(ctx context.Context, to *clients) error {
	stream, err := to.echo.Expand(ctx, &genproto.ExpandRequest{Content: text})
	if err != nil {
		return err
	}
	messages, err := received(stream.Recv)
	return errors.Join(err, same(contents(messages), text))
}

func expandSlowly(ctx context.Context, to *clients) error {
	pause := 300 * time.Millisecond
	stream, err := to.echo.Expand(ctx, &genproto.ExpandRequest{
		Content: text, StreamWaitTime: durationpb.New(pause),
	})
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	// The messages come one by one: the last is sent after four pauses.
	first := time.Now()
	messages, err := received(stream.Recv)
	if len(messages) != 4 || time.Since(first) < 2*pause {
		return fmt.Errorf("%d messages after %v, %w", len(messages), time.Since(first), err)
	}
	return err
}

func expandError(ctx context.Context, to *clients) error {
	stream, err := to.echo.Expand(ctx, &genproto.ExpandRequest{Error: broken})
	if err == nil {
		_, err = stream.Recv()
	}
	return failed(err, codes.Unavailable)
}

// expandLateError wants an error of any kind: the client ignores an element that it does not know.
func expandLateError(ctx context.Context, to *clients) error {
	stream, err := to.echo.Expand(ctx, &genproto.ExpandRequest{Content: text, Error: broken})
	if err != nil {
		return err
	}
	messages, err := received(stream.Recv)
	if err == nil {
		return fmt.Errorf("no error after %q", contents(messages))
	}
	return same(contents(messages), text)
}

func pagedExpand(ctx context.Context, to *clients) error {
	items := to.echo.PagedExpand(ctx, &genproto.PagedExpandRequest{Content: text, PageSize: 2})
	messages, err := all(items.Next)
	return errors.Join(err, same(contents(messages), text))
}

func pagedExpandWrongToken(ctx context.Context, to *clients) error {
	_, err := to.echo.PagedExpand(ctx, &genproto.PagedExpandRequest{
		Content: text, PageToken: "no token",
	}).Next()
	return failed(err, codes.InvalidArgument)
}

func pagedExpandLegacy(ctx context.Context, to *clients) error {
	items := to.echo.PagedExpandLegacy(ctx, &genproto.PagedExpandLegacyRequest{
		Content: text, MaxResults: 2,
	})
	messages, err := all(items.Next)
	return errors.Join(err, same(contents(messages), text))
}

func pagedExpandLegacyMapped(ctx context.Context, to *clients) error {
	items := to.echo.PagedExpandLegacyMapped(ctx, &genproto.PagedExpandRequest{
		Content: text, PageSize: 2,
	})
	pairs, err := all(items.Next)
	words := 0
	for _, pair := range pairs {
		words += len(pair.Value.GetWords())
	}
	return errors.Join(err, same(words, 5))
}

func wait(ctx context.Context, to *clients) error {
	operation, err := to.echo.Wait(ctx, &genproto.WaitRequest{
		End:      &genproto.WaitRequest_Ttl{Ttl: durationpb.New(time.Second)},
		Response: &genproto.WaitRequest_Success{Success: &genproto.WaitResponse{Content: text}},
	})
	if err != nil {
		return err
	}
	if meta, err := operation.Metadata(); err != nil || meta.GetEndTime() == nil {
		return fmt.Errorf("no metadata while it runs: %v, %w", meta, err)
	}
	reply, err := to.echo.WaitOperation(operation.Name()).Wait(ctx)
	return errors.Join(err, same(reply.GetContent(), text))
}

func waitError(ctx context.Context, to *clients) error {
	operation, err := to.echo.Wait(ctx, &genproto.WaitRequest{
		End:      &genproto.WaitRequest_Ttl{Ttl: durationpb.New(time.Second)},
		Response: &genproto.WaitRequest_Error{Error: broken},
	})
	if err != nil {
		return err
	}
	_, err = operation.Wait(ctx)
	return failed(err, codes.Unavailable)
}

func block(ctx context.Context, to *clients) error {
	reply, err := to.echo.Block(ctx, &genproto.BlockRequest{
		ResponseDelay: durationpb.New(100 * time.Millisecond),
		Response:      &genproto.BlockRequest_Success{Success: &genproto.BlockResponse{Content: text}},
	})
	return errors.Join(err, same(reply.GetContent(), text))
}

func blockError(ctx context.Context, to *clients) error {
	_, err := to.echo.Block(ctx, &genproto.BlockRequest{
		Response: &genproto.BlockRequest_Error{Error: broken},
	})
	return failed(err, codes.Unavailable)
}

func blockTooLong(ctx context.Context, to *clients) error {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	_, err := to.echo.Block(ctx, &genproto.BlockRequest{ResponseDelay: durationpb.New(time.Second)})
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("got %v, want the deadline", err)
	}
	return nil
}
