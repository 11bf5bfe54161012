package tests

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"example.com/angarium/courier"
	notificationv1 "example.com/angarium/gen/angarium/notification/v1"
)

// A call of ../../cases.json that must fail.
type wrongTurn struct {
	Name          string
	Method        string
	As            string
	Request       json.RawMessage
	Code          codes.Code
	Reason        string
	Fields        map[string]string
	Preconditions []courier.Precondition
	Resource      courier.Resource
}

func TestRefusals(t *testing.T) {
	connection := connect(t)
	people := map[string]person{"ada": register(t, connection), "mallory": register(t, connection)}
	for _, turn := range wrongTurns(t, connection, people) {
		t.Run(turn.Name, func(t *testing.T) {
			ctx := t.Context()
			if caller, ok := people[turn.As]; ok {
				ctx = caller.session.Context(ctx)
			}
			err := call(ctx, connection, turn.Method, turn.Request)
			refusal := courier.RefusalOf(err)
			if refusal.Code != turn.Code || refusal.Reason != turn.Reason || refusal.Domain != "angarium" {
				t.Errorf("%v, not %v %v", refusal, turn.Code, turn.Reason)
			}
			if turn.Fields != nil && !maps.Equal(refusal.Fields, turn.Fields) {
				t.Errorf("fields %v, not %v", refusal.Fields, turn.Fields)
			}
			if turn.Preconditions != nil && !slices.Equal(refusal.Preconditions, turn.Preconditions) {
				t.Errorf("preconditions %v, not %v", refusal.Preconditions, turn.Preconditions)
			}
			if turn.Resource != (courier.Resource{}) && refusal.Resource != turn.Resource {
				t.Errorf("resource %v, not %v", refusal.Resource, turn.Resource)
			}
		})
	}
}

// WrongTurns reads the table, after its preparation.
func wrongTurns(t *testing.T, connection *courier.Connection, people map[string]person) []wrongTurn {
	t.Helper()
	for _, one := range people {
		_, err := courier.OnceKnown(one.session.Context(t.Context()),
			func(ctx context.Context) (*notificationv1.GetPreferencesResponse, error) {
				return connection.Notifications.GetPreferences(ctx, &notificationv1.GetPreferencesRequest{})
			})
		if err != nil {
			t.Fatal(err)
		}
	}
	ada, requestID := people["ada"], uuid.NewString()
	order := place(t, t.Context(), connection, ada, requestID)
	cancel(t, connection, ada, order.OrderId)
	text, err := os.ReadFile("../../cases.json")
	if err != nil {
		t.Fatal(err)
	}
	named := strings.NewReplacer("$ORDER_ID", order.OrderId, "$REQUEST_ID", requestID, "$EMAIL", ada.email,
		"$USER_ID", ada.session.User.UserId)
	var table struct{ Refusals []wrongTurn }
	if err := json.Unmarshal([]byte(named.Replace(string(text))), &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Refusals) == 0 {
		t.Fatal("the table is empty")
	}
	return table.Refusals
}

// Call makes a call by name, with the generated types.
func call(ctx context.Context, connection *courier.Connection, method string, request []byte) error {
	service, name, _ := strings.Cut(method, "/")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + name))
	if err != nil {
		return err
	}
	described := found.(protoreflect.MethodDescriptor)
	message := func(of protoreflect.MessageDescriptor) proto.Message {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(of.FullName())
		if err != nil {
			panic(err)
		}
		return kind.New().Interface()
	}
	input := message(described.Input())
	if err := protojson.Unmarshal(request, input); err != nil {
		return err
	}
	ctx, end := context.WithTimeout(ctx, courier.Deadline)
	defer end()
	return connection.Channels[service].Invoke(ctx, "/"+method, input, message(described.Output()))
}
