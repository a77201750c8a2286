package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/googleapis/gapic-showcase/server/genproto"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var userCalls = []call{
	{"CreateUser, GetUser, DeleteUser", userLife},
	{"CreateUser, one that is there", userTwice},
	{"GetUser, not there", userMissing},
	{"UpdateUser, a mask", userMask},
	{"UpdateUser, no mask", userNoMask},
	{"ListUsers, pages", userPages},
}

var roomCalls = []call{
	{"CreateRoom, UpdateRoom, ListRooms, DeleteRoom", roomLife},
	{"CreateBlurb, GetBlurb, UpdateBlurb, DeleteBlurb", blurbLife},
	{"CreateBlurb, in a profile", blurbInProfile},
	{"CreateBlurb, an image", blurbImage},
	{"ListBlurbs, pages", blurbPages},
	{"SearchBlurbs", blurbSearch},
	{"StreamBlurbs", blurbStream},
	{"StreamBlurbs, not there", blurbStreamMissing},
}

func newUser(ctx context.Context, to *clients, email string) (*genproto.User, error) {
	return to.identity.CreateUser(ctx, &genproto.CreateUserRequest{User: &genproto.User{
		DisplayName: "Ann Ö", Email: email, Age: proto.Int32(0), HeightFeet: proto.Float64(5.5),
		Nickname: proto.String(""), EnableNotifications: proto.Bool(false),
	}})
}

func userLife(ctx context.Context, to *clients) error {
	made, err := newUser(ctx, to, "life@example.com")
	if err != nil {
		return err
	}
	if made.Age == nil || made.Nickname == nil || made.EnableNotifications == nil {
		return fmt.Errorf("optional fields with default values are lost: %v", made)
	}
	found, err := to.identity.GetUser(ctx, &genproto.GetUserRequest{Name: made.GetName()})
	if err := errors.Join(err, same(found, made)); err != nil {
		return err
	}
	err = to.identity.DeleteUser(ctx, &genproto.DeleteUserRequest{Name: made.GetName()})
	if err != nil {
		return err
	}
	_, err = to.identity.GetUser(ctx, &genproto.GetUserRequest{Name: made.GetName()})
	return failed(err, codes.NotFound)
}

func userTwice(ctx context.Context, to *clients) error {
	if _, err := newUser(ctx, to, "twice@example.com"); err != nil {
		return err
	}
	_, err := newUser(ctx, to, "twice@example.com")
	return failed(err, codes.AlreadyExists)
}

func userMissing(ctx context.Context, to *clients) error {
	_, err := to.identity.GetUser(ctx, &genproto.GetUserRequest{Name: "users/missing"})
	return failed(err, codes.NotFound)
}

func userMask(ctx context.Context, to *clients) error {
	made, err := newUser(ctx, to, "mask@example.com")
	if err != nil {
		return err
	}
	changed, err := to.identity.UpdateUser(ctx, &genproto.UpdateUserRequest{
		User: &genproto.User{
			Name: made.GetName(), DisplayName: "Eve", Email: "mask@example.com",
			Nickname: proto.String("e"), Age: proto.Int32(7),
		},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name", "nickname"}},
	})
	if err != nil {
		return err
	}
	got := []any{changed.GetDisplayName(), changed.GetNickname(), changed.GetAge()}
	return same(got, []any{"Eve", "e", int32(0)})
}

// userNoMask leaves out the mask, which AIP-134 reads as "all fields that are set".
func userNoMask(ctx context.Context, to *clients) error {
	made, err := newUser(ctx, to, "no-mask@example.com")
	if err != nil {
		return err
	}
	changed, err := to.identity.UpdateUser(ctx, &genproto.UpdateUserRequest{User: &genproto.User{
		Name: made.GetName(), DisplayName: "Eve", Email: "no-mask@example.com",
	}})
	if err != nil {
		return err
	}
	return same(
		[]any{changed.GetDisplayName(), changed.GetHeightFeet()}, []any{"Eve", 5.5},
	)
}

func userPages(ctx context.Context, to *clients) error {
	want := map[string]bool{}
	for _, email := range []string{"a@example.com", "b@example.com", "c@example.com"} {
		made, err := newUser(ctx, to, email)
		if err != nil {
			return err
		}
		want[made.GetName()] = true
	}
	users, err := all(to.identity.ListUsers(ctx, &genproto.ListUsersRequest{PageSize: 2}).Next)
	for _, user := range users {
		delete(want, user.GetName())
	}
	return errors.Join(err, same(want, map[string]bool{}))
}

func newRoom(ctx context.Context, to *clients, name string) (*genproto.Room, error) {
	return to.messaging.CreateRoom(ctx, &genproto.CreateRoomRequest{
		Room: &genproto.Room{DisplayName: name, Description: "for tests"},
	})
}

func roomLife(ctx context.Context, to *clients) error {
	made, err := newRoom(ctx, to, "life")
	if err != nil {
		return err
	}
	_, err = to.messaging.UpdateRoom(ctx, &genproto.UpdateRoomRequest{
		Room:       &genproto.Room{Name: made.GetName(), DisplayName: "life", Description: "new"},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"description"}},
	})
	if err != nil {
		return err
	}
	found, err := to.messaging.GetRoom(ctx, &genproto.GetRoomRequest{Name: made.GetName()})
	if err := errors.Join(err, same(found.GetDescription(), "new")); err != nil {
		return err
	}
	rooms, err := all(to.messaging.ListRooms(ctx, &genproto.ListRoomsRequest{PageSize: 1}).Next)
	if err != nil || len(rooms) == 0 {
		return fmt.Errorf("%d rooms, %w", len(rooms), err)
	}
	return to.messaging.DeleteRoom(ctx, &genproto.DeleteRoomRequest{Name: made.GetName()})
}

func blurbLife(ctx context.Context, to *clients) error {
	room, err := newRoom(ctx, to, "blurbs")
	if err != nil {
		return err
	}
	made, err := to.messaging.CreateBlurb(ctx, &genproto.CreateBlurbRequest{
		Parent: room.GetName(),
		Blurb:  &genproto.Blurb{User: "users/1", Content: &genproto.Blurb_Text{Text: "hello"}},
	})
	if err != nil {
		return err
	}
	_, err = to.messaging.UpdateBlurb(ctx, &genproto.UpdateBlurbRequest{
		Blurb: &genproto.Blurb{
			Name: made.GetName(), User: "users/1", Content: &genproto.Blurb_Text{Text: "bye"},
		},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"text"}},
	})
	if err != nil {
		return err
	}
	found, err := to.messaging.GetBlurb(ctx, &genproto.GetBlurbRequest{Name: made.GetName()})
	if err := errors.Join(err, same(found.GetText(), "bye")); err != nil {
		return err
	}
	return to.messaging.DeleteBlurb(ctx, &genproto.DeleteBlurbRequest{Name: made.GetName()})
}

// blurbInProfile uses the second path of the method.
func blurbInProfile(ctx context.Context, to *clients) error {
	user, err := newUser(ctx, to, "profile@example.com")
	if err != nil {
		return err
	}
	parent := user.GetName() + "/profile"
	made, err := newBlurb(ctx, to, parent, "on a profile")
	if err != nil {
		return err
	}
	found, err := to.messaging.GetBlurb(ctx, &genproto.GetBlurbRequest{Name: made.GetName()})
	return errors.Join(err, same(found, made))
}

func newBlurb(
	ctx context.Context, to *clients, parent string, text string,
) (*genproto.Blurb, error) {
	return to.messaging.CreateBlurb(ctx, &genproto.CreateBlurbRequest{
		Parent: parent,
		Blurb:  &genproto.Blurb{User: "users/1", Content: &genproto.Blurb_Text{Text: text}},
	})
}

func blurbImage(ctx context.Context, to *clients) error {
	room, err := newRoom(ctx, to, "images")
	if err != nil {
		return err
	}
	image := []byte{0, 0xFF, 0xFE, '+', '/', 0x80}
	made, err := to.messaging.CreateBlurb(ctx, &genproto.CreateBlurbRequest{
		Parent: room.GetName(),
		Blurb:  &genproto.Blurb{User: "users/1", Content: &genproto.Blurb_Image{Image: image}},
	})
	return errors.Join(err, same(made.GetImage(), image))
}

func blurbPages(ctx context.Context, to *clients) error {
	room, err := newRoom(ctx, to, "pages")
	if err != nil {
		return err
	}
	for _, text := range []string{"one", "two", "three"} {
		if _, err := newBlurb(ctx, to, room.GetName(), text); err != nil {
			return err
		}
	}
	blurbs, err := all(to.messaging.ListBlurbs(ctx, &genproto.ListBlurbsRequest{
		Parent: room.GetName(), PageSize: 2,
	}).Next)
	var texts []string
	for _, blurb := range blurbs {
		texts = append(texts, blurb.GetText())
	}
	return errors.Join(err, same(texts, []string{"one", "two", "three"}))
}

// blurbSearch polls a long-running operation; its name has the characters of base64.
func blurbSearch(ctx context.Context, to *clients) error {
	room, err := newRoom(ctx, to, "search")
	if err != nil {
		return err
	}
	for _, text := range []string{"a needle", "hay"} {
		if _, err := newBlurb(ctx, to, room.GetName(), text); err != nil {
			return err
		}
	}
	operation, err := to.messaging.SearchBlurbs(ctx, &genproto.SearchBlurbsRequest{
		Query: "needle >>>???", Parent: room.GetName(), PageSize: 10,
	})
	if err != nil {
		return err
	}
	found, err := operation.Wait(ctx)
	if err != nil {
		return err
	}
	return same(len(found.GetBlurbs()), 1)
}

func blurbStream(ctx context.Context, to *clients) error {
	room, err := newRoom(ctx, to, "stream")
	if err != nil {
		return err
	}
	stream, err := to.messaging.StreamBlurbs(ctx, &genproto.StreamBlurbsRequest{
		Name: room.GetName(), ExpireTime: timestamppb.New(time.Now().Add(2 * time.Second)),
	})
	if err != nil {
		return err
	}
	// The head of the response can come before the service observes the room: send some.
	sending, done := context.WithCancel(ctx)
	defer done()
	go func() {
		for sending.Err() == nil {
			newBlurb(sending, to, room.GetName(), "live")
			time.Sleep(50 * time.Millisecond)
		}
	}()
	first, err := stream.Recv()
	done()
	if err != nil {
		return err
	}
	if err := same(first.GetAction(), genproto.StreamBlurbsResponse_CREATE); err != nil {
		return err
	}
	_, err = received(stream.Recv)
	return errors.Join(err, same(first.GetBlurb().GetText(), "live"))
}

func blurbStreamMissing(ctx context.Context, to *clients) error {
	stream, err := to.messaging.StreamBlurbs(ctx, &genproto.StreamBlurbsRequest{
		Name: "rooms/missing", ExpireTime: timestamppb.Now(),
	})
	if err == nil {
		_, err = stream.Recv()
	}
	return failed(err, codes.NotFound)
}
