package plugin

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"regcred.dev"
	"regcred.dev/client"
)

// listFilter selects the credentials at a scope's level, of that scope, and of a
// location unless it is "".
func listFilter(scope regcred.Scope, location string) url.Values {
	q := url.Values{"scopes": {scope.Level().String()}}
	for key, id := range map[string]string{
		"organization_guids": scope.Org, "space_guids": scope.Space, "app_guids": scope.App, "locations": location,
	} {
		if id != "" {
			q.Set(key, id)
		}
	}
	return q
}

// list shows what is available to the targeted organization and space, nearest
// scope first: the order in which they are chosen.
func list(ctx context.Context, s *session, _ invocation) error {
	fmt.Fprintf(s.Stdout, "Showing registry credentials available to %s...\n\n", s.audience())
	found, err := s.available(ctx)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		fmt.Fprintln(s.Stdout, "No registry credentials found.")
		return nil
	}
	names, err := s.appNames(ctx, found)
	if err != nil {
		return err
	}
	rows := [][]string{{"location", "scope", "username", "app name"}}
	for _, c := range found {
		rows = append(rows, []string{c.Location, c.Scope, c.Username, names[c.Relationships.App.ID()]})
	}
	writeTable(s.Stdout, rows)
	return nil
}

// audience says whom credentials are available to.
func (s *session) audience() string {
	switch {
	case s.org.Guid == "":
		return "the foundation"
	case s.space.Guid == "":
		return fmt.Sprintf("org '%s'", s.org.Name)
	}
	return fmt.Sprintf("org '%s' and space '%s'", s.org.Name, s.space.Name)
}

// available returns the credentials of the targeted space's apps, the space, the
// organization and the foundation, in this order.
func (s *session) available(ctx context.Context) ([]client.Credential, error) {
	var filters []url.Values
	if s.space.Guid != "" {
		apps := listFilter(regcred.SpaceScope(s.org.Guid, s.space.Guid), "")
		apps.Set("scopes", regcred.LevelApp.String())
		filters = append(filters, apps, listFilter(regcred.SpaceScope(s.org.Guid, s.space.Guid), ""))
	}
	if s.org.Guid != "" {
		filters = append(filters, listFilter(regcred.OrgScope(s.org.Guid), ""))
	}
	var all []client.Credential
	for _, filter := range append(filters, listFilter(regcred.Foundation, "")) {
		found, err := s.regcred.Credentials(ctx, filter)
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(found, func(a, b client.Credential) int { return strings.Compare(a.Location, b.Location) })
		all = append(all, found...)
	}
	return all, nil
}

// appNames returns the names of the apps that credentials are for, by guid.
func (s *session) appNames(ctx context.Context, found []client.Credential) (map[string]string, error) {
	var guids []string
	for _, c := range found {
		if guid := c.Relationships.App.ID(); guid != "" && !slices.Contains(guids, guid) {
			guids = append(guids, guid)
		}
	}
	return s.capi.appNames(ctx, guids)
}

// padding is what the CLI leaves between columns.
const padding = 3

// writeTable writes rows in columns, as the CLI does.
func writeTable(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+padding))
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}
