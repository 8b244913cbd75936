package plugin

import (
	"context"
	"fmt"
	"strings"

	"regcred.dev"
	"regcred.dev/client"
)

// session is one use of a command by a user who is logged in.
type session struct {
	*Program
	user       string
	org, space place
	// level is that of the credentials which the command is about.
	level   regcred.Level
	regcred *client.Client
	capi    capi
}

// open finds out who the user is, what they target and where regcred is. The targets
// that credentials of the level need must be there.
func (p *Program) open(ctx context.Context, cli cf, level regcred.Level) (*session, error) {
	endpoint, err := cli.apiEndpoint()
	if err != nil {
		return nil, err
	}
	if endpoint == "" {
		return nil, regcred.Errorf(regcred.Invalid, "No API endpoint set. Use 'cf login' or 'cf api' to target an endpoint.")
	}
	ok, err := cli.loggedIn()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, regcred.Errorf(regcred.Unauthenticated, "Not logged in. Use 'cf login' or 'cf login --sso' to log in.")
	}
	s := &session{Program: p, level: level}
	if s.org, err = cli.org(); err != nil {
		return nil, err
	}
	if s.space, err = cli.space(); err != nil {
		return nil, err
	}
	if level >= regcred.LevelOrganization && s.org.Guid == "" {
		return nil, regcred.Errorf(regcred.Invalid, "No org targeted, use 'cf target -o ORG' to target an org.")
	}
	if level >= regcred.LevelSpace && s.space.Guid == "" {
		return nil, regcred.Errorf(regcred.Invalid, "No space targeted, use 'cf target -s SPACE' to target a space.")
	}
	if s.user, err = cli.username(); err != nil {
		return nil, err
	}
	return s, s.connect(ctx, cli, endpoint)
}

// scope returns the scope of the targeted organization or space, as far as the level
// goes; app is the guid of an app, or "".
func (s *session) scope(app string) regcred.Scope {
	switch s.level {
	case regcred.LevelOrganization:
		return regcred.OrgScope(s.org.Guid)
	case regcred.LevelSpace, regcred.LevelApp:
		return regcred.Scope{Org: s.org.Guid, Space: s.space.Guid, App: app}
	}
	return regcred.Foundation
}

// where says of whose credentials a command is, as the CLI says it.
func (s *session) where() string {
	switch s.level {
	case regcred.LevelOrganization:
		return "org " + s.org.Name
	case regcred.LevelSpace, regcred.LevelApp:
		return "org " + s.org.Name + " / space " + s.space.Name
	}
	return "the foundation"
}

// progress says what is being done.
func (s *session) progress(format string, args ...any) {
	fmt.Fprintf(s.Stdout, format+" as %s...\n", append(args, s.user)...)
}

func (s *session) ok() { fmt.Fprintln(s.Stdout, "OK") }

// tip says what the user may want to know or do next.
func (s *session) tip(format string, args ...any) {
	fmt.Fprintf(s.Stdout, "\nTIP: "+format+"\n", args...)
}

// find returns the credential of a location at a scope, false where there is none.
func (s *session) find(ctx context.Context, location string, scope regcred.Scope) (client.Credential, bool, error) {
	if strings.Contains(location, ",") { // which separates values in a filter, and is in no location
		return client.Credential{}, false, nil
	}
	list, err := s.regcred.Credentials(ctx, listFilter(scope, location))
	for _, c := range list {
		if c.Relationships.Scope() == scope {
			return c, true, nil
		}
	}
	return client.Credential{}, false, err
}
