package courier

import (
	"context"
	"time"
)

const (
	patience = 30 * time.Second
	look     = 50 * time.Millisecond
)

// OnceKnown retries a call right after a registration. The other services learn of a user, and of the key of the first token,
// from events, a moment later: until then they answer USER_UNKNOWN and KEY_UNKNOWN.
func OnceKnown[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	begun := time.Now()
	for {
		answer, err := call(ctx)
		if err == nil {
			return answer, nil
		}
		refusal := RefusalOf(err)
		tooEarly := refusal.Reason == "USER_UNKNOWN" || refusal.Reason == "KEY_UNKNOWN"
		if !tooEarly || time.Since(begun) > patience {
			return answer, err
		}
		if err := refusal.Wait(ctx, look); err != nil {
			return answer, err
		}
	}
}

// Wait waits for the answer's retry delay, or for a default.
func (r Refusal) Wait(ctx context.Context, otherwise time.Duration) error {
	if r.RetryAfter != nil {
		otherwise = *r.RetryAfter
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(otherwise):
		return nil
	}
}
