package courier

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Refusal has the details of an error, for programs. Branch on Reason, which never changes; show Message
// to people; never parse a message.
type Refusal struct {
	Code    codes.Code
	Message string
	// Domain is "angarium", or empty if the error is not from our server: the network, a proxy, the client's deadline.
	Domain string
	Reason string
	// Fields has what to change in the request, by field path.
	Fields map[string]string
	// Preconditions must hold first.
	Preconditions []Precondition
	// Resource is missing, or exists already.
	Resource Resource
	// RetryAfter is the time until the same call may succeed; nil if unknown.
	RetryAfter *time.Duration
}

// Precondition has the kind of a condition, and its subject.
type Precondition struct{ Type, Subject string }

// Resource has the type and the name of a resource.
type Resource struct{ Type, Name string }

// RefusalOf reads the details of an error from a call.
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
