package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/googleapis/gapic-showcase/server/genproto"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
)

var sequenceCalls = []call{
	{"AttemptSequence, the client repeats", attemptsRepeated},
	{"AttemptSequence, an error that is not repeated", attemptOnce},
	{"AttemptSequence, a slow success", attemptSlow},
	{"AttemptStreamingSequence", attemptStream},
	{"AttemptStreamingSequence, failing", attemptStreamError},
}

func answer(code codes.Code) *genproto.Sequence_Response {
	return &genproto.Sequence_Response{
		Status: &status.Status{Code: int32(code), Message: "as asked"},
		Delay:  durationpb.New(10 * time.Millisecond),
	}
}

// attempt makes the call of a new sequence, and returns its error and the codes of all attempts.
func attempt(
	ctx context.Context, to *clients, answers ...*genproto.Sequence_Response,
) (failure error, seen []codes.Code, err error) {
	sequence, err := to.sequence.CreateSequence(ctx, &genproto.CreateSequenceRequest{
		Sequence: &genproto.Sequence{Responses: answers},
	})
	if err != nil {
		return nil, nil, err
	}
	request := &genproto.AttemptSequenceRequest{Name: sequence.GetName()}
	// The generated client has no options of its own for methods that answer with Empty.
	again := gax.WithRetry(func() gax.Retryer {
		return gax.OnHTTPCodes(gax.Backoff{Initial: 20 * time.Millisecond}, http.StatusServiceUnavailable)
	})
	failure = to.sequence.AttemptSequence(ctx, request, again)
	report, err := to.sequence.GetSequenceReport(ctx, &genproto.GetSequenceReportRequest{
		Name: sequence.GetName() + "/sequenceReport",
	})
	for _, attempt := range report.GetAttempts() {
		seen = append(seen, codes.Code(attempt.GetStatus().GetCode()))
	}
	return failure, seen, err
}

// attemptsRepeated fails twice: the client repeats the call, and nobody else does.
func attemptsRepeated(ctx context.Context, to *clients) error {
	answers := []*genproto.Sequence_Response{
		answer(codes.Unavailable), answer(codes.Unavailable), answer(codes.OK),
	}
	failure, seen, err := attempt(ctx, to, answers...)
	want := []codes.Code{codes.Unavailable, codes.Unavailable, codes.OK}
	return errors.Join(failure, err, same(seen, want))
}

func attemptOnce(ctx context.Context, to *clients) error {
	failure, seen, err := attempt(ctx, to, answer(codes.InvalidArgument))
	return errors.Join(
		err, failed(failure, codes.InvalidArgument), same(seen, []codes.Code{codes.InvalidArgument}),
	)
}

func attemptSlow(ctx context.Context, to *clients) error {
	slow := &genproto.Sequence_Response{Delay: durationpb.New(2 * time.Second)}
	failure, seen, err := attempt(ctx, to, slow)
	return errors.Join(failure, err, same(seen, []codes.Code{codes.OK}))
}

// stream makes the call of a new sequence that ends with code after two words.
func stream(ctx context.Context, to *clients, code codes.Code) ([]string, error, error) {
	sequence, err := to.sequence.CreateStreamingSequence(
		ctx, &genproto.CreateStreamingSequenceRequest{
			StreamingSequence: &genproto.StreamingSequence{
				Content: "one two three",
				Responses: []*genproto.StreamingSequence_Response{{
					Status: &status.Status{Code: int32(code)}, ResponseIndex: 2,
				}},
			},
		},
	)
	if err != nil {
		return nil, nil, err
	}
	opened, err := to.sequence.AttemptStreamingSequence(
		ctx, &genproto.AttemptStreamingSequenceRequest{Name: sequence.GetName()},
	)
	if err != nil {
		return nil, nil, err
	}
	messages, failure := received(opened.Recv)
	var words []string
	for _, message := range messages {
		words = append(words, message.GetContent())
	}
	report, err := to.sequence.GetStreamingSequenceReport(
		ctx, &genproto.GetStreamingSequenceReportRequest{
			Name: sequence.GetName() + "/streamingSequenceReport",
		},
	)
	return words, failure, errors.Join(err, same(len(report.GetAttempts()), 1))
}

func attemptStream(ctx context.Context, to *clients) error {
	words, failure, err := stream(ctx, to, codes.OK)
	return errors.Join(failure, err, same(words, []string{"one", "two"}))
}

func attemptStreamError(ctx context.Context, to *clients) error {
	words, failure, err := stream(ctx, to, codes.Unavailable)
	if failure == nil {
		return fmt.Errorf("no error after %v, %w", words, err)
	}
	return errors.Join(err, same(words, []string{"one", "two"}))
}
