package plugin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"regcred.dev"
)

// command is one command of the plugin.
type command struct {
	name, help string
	// args are its arguments, as they are written in its usage.
	args []string
	// options are its flags with their descriptions.
	options map[string]string
	// level is that of the credentials which it is about. The user has to target what
	// lies above them, and with it.
	level regcred.Level
	run   func(context.Context, *session, invocation) error
}

// invocation is what the user wrote behind a command.
type invocation struct {
	args     []string
	username string
	force    bool
}

const (
	locationArg = "REGISTRY-LOCATION"
	usernameDoc = "User name for the registry"
	forceDoc    = "Force deletion without confirmation"
)

// environment is a section of the help of commands that need a password.
const environment = "ENVIRONMENT:\n   CF_DOCKER_PASSWORD   Password for the registry; without it the password is asked for"

// shortNames are what the names of commands have for levels.
var shortNames = map[regcred.Level]string{
	regcred.LevelFoundation: "foundation", regcred.LevelOrganization: "org", regcred.LevelSpace: "space",
}

// commands are all commands of the plugin, by name.
func commands() map[string]command {
	all := map[string]command{}
	add := func(c command) { all[c.name] = c }
	for _, level := range []regcred.Level{regcred.LevelFoundation, regcred.LevelOrganization, regcred.LevelSpace} {
		short := shortNames[level]
		where := map[regcred.Level]string{
			regcred.LevelFoundation: "the foundation", regcred.LevelOrganization: "the targeted org", regcred.LevelSpace: "the targeted space",
		}[level]
		add(command{
			name: "create-" + short + "-registry-credential", level: level, run: create,
			help: "Store a registry credential that all apps of " + where + " can use",
			args: []string{locationArg}, options: map[string]string{"username": usernameDoc},
		})
		add(command{
			name: "update-" + short + "-registry-credential", level: level, run: update,
			help: "Change user name or password of a registry credential of " + where,
			args: []string{locationArg}, options: map[string]string{"username": usernameDoc},
		})
		add(command{
			name: "delete-" + short + "-registry-credential", level: level, run: remove,
			help: "Delete a registry credential of " + where,
			args: []string{locationArg}, options: map[string]string{"f": forceDoc},
		})
	}
	add(command{
		name: "delete-app-registry-credential", level: regcred.LevelApp, run: remove,
		help: "Delete the registry credential of an app, which its pushes left",
		args: []string{locationArg, "APP-NAME"}, options: map[string]string{"f": forceDoc},
	})
	add(command{
		name: "registry-credentials", run: list,
		help: "List the registry credentials that are available to the targeted org and space",
	})
	return all
}

// changes reports whether a command is one that changes something.
func (c command) changes() bool { return len(c.args) > 0 }

func (c command) needsPassword() bool { return c.options["username"] != "" }

// usage returns the usage of a command, as cf shows it.
func (c command) usage() string {
	line := "cf " + strings.Join(append([]string{c.name}, c.args...), " ")
	if c.needsPassword() {
		if strings.HasPrefix(c.name, "create-") {
			line += " --username USER"
		} else {
			line += " [--username USER]"
		}
	}
	if _, ok := c.options["f"]; ok {
		line += " [-f]"
	}
	return line
}

// text is the help of a command, in the layout of the cf CLI.
func (c command) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "NAME:\n   %s - %s\n\nUSAGE:\n   %s\n", c.name, c.help, c.usage())
	if len(c.options) > 0 {
		b.WriteString("\nOPTIONS:\n")
		for _, name := range slices.Sorted(maps.Keys(c.options)) {
			fmt.Fprintf(&b, "   %-13s%s\n", dashes(name), c.options[name])
		}
	}
	if c.needsPassword() {
		fmt.Fprintf(&b, "\n%s\n", environment)
	}
	if related := c.related(); len(related) > 0 {
		fmt.Fprintf(&b, "\nSEE ALSO:\n   %s\n", strings.Join(related, ", "))
	}
	return b.String()
}

// related are the other commands for credentials of the same level and the list; for the
// list, those that add to it.
func (c command) related() []string {
	var names []string
	for name, other := range commands() {
		related := other.level == c.level || !other.changes()
		if !c.changes() {
			related = strings.HasPrefix(name, "create-")
		}
		if related && name != c.name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// describe is what the plugin tells the CLI of itself when it is installed.
func describe() metadata {
	m := metadata{Name: "regcred", Version: Version, MinCliVersion: version{8, 0, 0}}
	all := commands()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c := all[name]
		usage := c.usage()
		if c.needsPassword() {
			usage += "\n\n" + environment // the CLI knows of no such section
		}
		m.Commands = append(m.Commands, commandMetadata{
			Name: c.name, HelpText: c.help, UsageDetails: usageDetails{Usage: usage, Options: c.options},
		})
	}
	return m
}

// Version is the plugin's.
var Version = version{0, 1, 0}
