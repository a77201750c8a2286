package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/googleapis/gapic-showcase/server/genproto"
	"github.com/googleapis/gapic-showcase/server/services"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/protobuf/proto"
)

// repeat is a method that answers with its request.
type repeat func(
	ctx context.Context, request *genproto.RepeatRequest, options ...gax.CallOption,
) (*genproto.RepeatResponse, error)

// complianceCalls returns a call for each request of showcase's suite and each method that it is
// for, and those of enums.
func complianceCalls() []call {
	calls := []call{{"GetEnum, VerifyEnum", knownEnum}, {"GetEnum, VerifyEnum, unknown", unknownEnum}}
	for _, group := range services.ComplianceSuite.GetGroup() {
		for _, request := range group.GetRequests() {
			for _, method := range group.GetRpcs() {
				name := fmt.Sprintf("%s: %s", method, request.GetName())
				calls = append(calls, call{name, func(ctx context.Context, to *clients) error {
					return repeated(ctx, to, method, request)
				}})
			}
		}
	}
	return calls
}

func repeated(
	ctx context.Context, to *clients, method string, request *genproto.RepeatRequest,
) error {
	methods := map[string]repeat{
		"Compliance.RepeatDataBody":                 to.compliance.RepeatDataBody,
		"Compliance.RepeatDataBodyPut":              to.compliance.RepeatDataBodyPut,
		"Compliance.RepeatDataBodyPatch":            to.compliance.RepeatDataBodyPatch,
		"Compliance.RepeatDataBodyInfo":             to.compliance.RepeatDataBodyInfo,
		"Compliance.RepeatDataQuery":                to.compliance.RepeatDataQuery,
		"Compliance.RepeatDataSimplePath":           to.compliance.RepeatDataSimplePath,
		"Compliance.RepeatDataPathResource":         to.compliance.RepeatDataPathResource,
		"Compliance.RepeatDataPathTrailingResource": to.compliance.RepeatDataPathTrailingResource,
	}
	made := methods[method]
	if made == nil {
		return fmt.Errorf("the suite has the method %q, which is not known here", method)
	}
	sent := proto.Clone(request).(*genproto.RepeatRequest)
	if request.IntendedBindingUri != nil {
		// Only showcase's own REST server knows which rule matched: its gRPC server would refuse.
		sent.ServerVerify = false
	}
	reply, err := made(ctx, proto.Clone(sent).(*genproto.RepeatRequest))
	return errors.Join(err, same(reply.GetRequest(), sent))
}

func knownEnum(ctx context.Context, to *clients) error   { return enum(ctx, to, false) }
func unknownEnum(ctx context.Context, to *clients) error { return enum(ctx, to, true) }

func enum(ctx context.Context, to *clients, isUnknown bool) error {
	reply, err := to.compliance.GetEnum(ctx, &genproto.EnumRequest{UnknownEnum: isUnknown})
	if err != nil {
		return err
	}
	verified, err := to.compliance.VerifyEnum(ctx, reply)
	return errors.Join(err, same(verified.GetContinent(), reply.GetContinent()))
}
