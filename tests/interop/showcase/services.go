package main

import (
	"context"
	"errors"
	"fmt"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"github.com/googleapis/gapic-showcase/server/genproto"
	"google.golang.org/genproto/googleapis/cloud/location"
	"google.golang.org/grpc/codes"
)

// mixinCalls are those of services that every API has.
var mixinCalls = []call{
	{"ListLocations", listLocations},
	{"GetLocation", getLocation},
	{"SetIamPolicy, GetIamPolicy, TestIamPermissions", policyLife},
	{"GetIamPolicy, not there", policyMissing},
	{"ListOperations", listOperations},
	{"GetOperation, not there", operationMissing},
	{"CancelOperation, DeleteOperation", operationEnd},
}

var sessionCalls = []call{
	{"CreateSession, ListSessions, DeleteSession", sessionLife},
	{"ListTests, ReportSession, VerifyTest", sessionTests},
	{"UploadMedia, without its media", uploadMedia},
}

func listLocations(ctx context.Context, to *clients) error {
	found, err := all(to.echo.ListLocations(ctx, &location.ListLocationsRequest{
		Name: "projects/p", Filter: "a=b&c", PageSize: 2,
	}).Next)
	return errors.Join(err, same(len(found), 4))
}

func getLocation(ctx context.Context, to *clients) error {
	found, err := to.identity.GetLocation(ctx, &location.GetLocationRequest{
		Name: "projects/p/locations/eu west",
	})
	return errors.Join(err, same(found.GetName(), "projects/p/locations/eu west"))
}

func policyLife(ctx context.Context, to *clients) error {
	policy := &iampb.Policy{
		Version:  3,
		Etag:     []byte{0xFF, 0},
		Bindings: []*iampb.Binding{{Role: "roles/reader", Members: []string{"user:a@example.com"}}},
	}
	resource := "rooms/1/blurbs/1"
	_, err := to.messaging.SetIamPolicy(ctx, &iampb.SetIamPolicyRequest{
		Resource: resource, Policy: policy,
	})
	if err != nil {
		return err
	}
	found, err := to.messaging.GetIamPolicy(ctx, &iampb.GetIamPolicyRequest{
		Resource: resource, Options: &iampb.GetPolicyOptions{RequestedPolicyVersion: 3},
	})
	if err := errors.Join(err, same(found, policy)); err != nil {
		return err
	}
	tested, err := to.messaging.TestIamPermissions(ctx, &iampb.TestIamPermissionsRequest{
		Resource: resource, Permissions: []string{"blurbs.get", "blurbs.list"},
	})
	return errors.Join(err, same(tested.GetPermissions(), []string{"blurbs.get", "blurbs.list"}))
}

func policyMissing(ctx context.Context, to *clients) error {
	_, err := to.sequence.GetIamPolicy(ctx, &iampb.GetIamPolicyRequest{Resource: "sequences/none"})
	return failed(err, codes.NotFound)
}

func listOperations(ctx context.Context, to *clients) error {
	found, err := all(to.testing.ListOperations(ctx, &longrunningpb.ListOperationsRequest{
		Name: "operations", PageSize: 3,
	}).Next)
	return errors.Join(err, same(len(found), 3))
}

func operationMissing(ctx context.Context, to *clients) error {
	_, err := to.echo.GetOperation(ctx, &longrunningpb.GetOperationRequest{
		Name: "operations/none/of/these",
	})
	return failed(err, codes.NotFound)
}

func operationEnd(ctx context.Context, to *clients) error {
	name := "operations/google.showcase.v1beta1.Echo/Wait/a+b=="
	return errors.Join(
		to.echo.CancelOperation(ctx, &longrunningpb.CancelOperationRequest{Name: name}),
		to.echo.DeleteOperation(ctx, &longrunningpb.DeleteOperationRequest{Name: name}),
	)
}

func newSession(ctx context.Context, to *clients) (*genproto.Session, error) {
	return to.testing.CreateSession(ctx, &genproto.CreateSessionRequest{
		Session: &genproto.Session{Version: genproto.Session_V1_0},
	})
}

func sessionLife(ctx context.Context, to *clients) error {
	made, err := newSession(ctx, to)
	if err != nil {
		return err
	}
	found, err := to.testing.GetSession(ctx, &genproto.GetSessionRequest{Name: made.GetName()})
	if err := errors.Join(err, same(found, made)); err != nil {
		return err
	}
	sessions, err := all(to.testing.ListSessions(ctx, &genproto.ListSessionsRequest{}).Next)
	if err != nil || len(sessions) == 0 {
		return fmt.Errorf("%d sessions, %w", len(sessions), err)
	}
	return to.testing.DeleteSession(ctx, &genproto.DeleteSessionRequest{Name: made.GetName()})
}

func sessionTests(ctx context.Context, to *clients) error {
	made, err := newSession(ctx, to)
	if err != nil {
		return err
	}
	tests, err := all(to.testing.ListTests(ctx, &genproto.ListTestsRequest{
		Parent: made.GetName(), PageSize: 1,
	}).Next)
	if err != nil || len(tests) == 0 {
		return fmt.Errorf("%d tests, %w", len(tests), err)
	}
	// The names that showcase gives its tests do not fit the paths that it publishes.
	name := made.GetName() + "/tests/none"
	// Without an answer: the client writes bytes as `[255]` into a query.
	_, err = to.testing.VerifyTest(ctx, &genproto.VerifyTestRequest{Name: name})
	if err != nil {
		return err
	}
	report, err := to.testing.ReportSession(ctx, &genproto.ReportSessionRequest{
		Name: made.GetName(),
	})
	if err != nil {
		return err
	}
	if len(report.GetTestRuns()) != len(tests) {
		return fmt.Errorf("%d runs of %d tests", len(report.GetTestRuns()), len(tests))
	}
	err = to.testing.DeleteTest(ctx, &genproto.DeleteTestRequest{Name: name})
	return failed(err, codes.NotFound)
}

func uploadMedia(ctx context.Context, to *clients) error {
	_, err := to.upload.UploadMedia(ctx, &genproto.UploadMediaRequest{Name: "a.txt"})
	return err
}
