package courier

import (
	"context"

	"google.golang.org/grpc/metadata"

	userv1 "example.com/angarium/gen/angarium/user/v1"
)

// Session is a logged-in user: tokens for calls, and their refresh.
type Session struct {
	User   *userv1.User
	users  userv1.UserServiceClient
	tokens *userv1.Tokens
}

// LogIn starts a session.
func LogIn(ctx context.Context, connection *Connection, email, password string) (*Session, error) {
	answer, err := connection.Users.Authenticate(ctx, &userv1.AuthenticateRequest{Email: email, Password: password})
	if err != nil {
		return nil, err
	}
	return &Session{User: answer.User, users: connection.Users, tokens: answer.Tokens}, nil
}

// Context is for one call: orders.GetOrder(session.Context(ctx), request).
func (s *Session) Context(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.tokens.AccessToken)
}

// Call makes a call, and repeats it with a new token if the old one has expired (after 15 minutes).
func Call[T any](ctx context.Context, session *Session, call func(context.Context) (T, error)) (T, error) {
	answer, err := call(session.Context(ctx))
	if err == nil || RefusalOf(err).Reason != "TOKEN_EXPIRED" {
		return answer, err
	}
	if err := session.Refresh(ctx); err != nil {
		return answer, err
	}
	return call(session.Context(ctx))
}

// Refresh exchanges the refresh token. It works once, so goroutines that share a session take turns here.
func (s *Session) Refresh(ctx context.Context) error {
	answer, err := s.users.RefreshToken(ctx, &userv1.RefreshTokenRequest{RefreshToken: s.tokens.RefreshToken})
	if err != nil {
		return err
	}
	s.tokens = answer.Tokens
	return nil
}

// LogOut ends the session.
func (s *Session) LogOut(ctx context.Context) error {
	_, err := s.users.RevokeToken(ctx, &userv1.RevokeTokenRequest{RefreshToken: s.tokens.RefreshToken})
	return err
}
