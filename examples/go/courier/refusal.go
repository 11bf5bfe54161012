package courier

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Refusal is why a call was refused, in a form that a program can act on. Branch on Reason, which never changes; show Message
// to a person; never take a message apart.
type Refusal struct {
	Code    codes.Code
	Message string
	// Domain is "angarium", or empty where it was not our server that answered: the network, a proxy, the client's deadline.
	Domain string
	Reason string
	// Fields says what must be changed in the request, by the path of the field.
	Fields map[string]string
	// Preconditions are what would have to hold first.
	Preconditions []Precondition
	// Resource is what is not there, or is there already.
	Resource Resource
	// RetryAfter is when the same call may succeed; nil where no answer says so.
	RetryAfter *time.Duration
}

// Precondition is a kind of condition, and of what.
type Precondition struct{ Type, Subject string }

// Resource is a type of resource, and the name of one.
type Resource struct{ Type, Name string }

// RefusalOf reads the details of an error that a call has returned.
func RefusalOf(err error) Refusal {
	answer := status.Convert(err)
	refusal := Refusal{Code: answer.Code(), Message: answer.Message(), Fields: map[string]string{}}
	for _, detail := range answer.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			refusal.Domain, refusal.Reason = detail.Domain, detail.Reason
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				refusal.Fields[violation.Field] = violation.Description
			}
		case *errdetails.PreconditionFailure:
			for _, violation := range detail.Violations {
				refusal.Preconditions = append(refusal.Preconditions, Precondition{violation.Type, violation.Subject})
			}
		case *errdetails.ResourceInfo:
			refusal.Resource = Resource{detail.ResourceType, detail.ResourceName}
		case *errdetails.RetryInfo:
			delay := detail.RetryDelay.AsDuration()
			refusal.RetryAfter = &delay
		}
	}
	return refusal
}

func (r Refusal) String() string {
	return fmt.Sprintf("%s %s: %s", r.Code, r.Reason, r.Message)
}
