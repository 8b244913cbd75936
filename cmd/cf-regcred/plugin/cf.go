package plugin

import (
	"net/rpc"

	"regcred.dev"
)

// cf is the CLI that started the plugin. It serves net/rpc with gob encoding on a
// port of the loopback address; gob goes by the names of fields, so the types below
// are those of its plugin protocol as far as they are used.
type cf struct {
	port string
}

// metadata is PluginMetadata of the protocol.
type metadata struct {
	Name          string
	Version       version
	MinCliVersion version
	Commands      []commandMetadata
}

type version struct{ Major, Minor, Build int }

type commandMetadata struct {
	Name         string
	HelpText     string
	UsageDetails usageDetails
}

type usageDetails struct {
	Usage   string
	Options map[string]string
}

// place is an organization or space that the user targets; the zero place is none.
type place struct{ Guid, Name string } //nolint:revive,staticcheck // the protocol's name

// call calls a method of the CLI.
func call[T any](c cf, method string, arg any) (T, error) {
	var out T
	conn, err := rpc.Dial("tcp", "127.0.0.1:"+c.port)
	if err != nil {
		return out, regcred.Errorf(regcred.Unavailable, "cannot talk to the cf CLI that started this plugin: %w", err)
	}
	defer conn.Close()
	if err := conn.Call("CliRpcCmd."+method, arg, &out); err != nil {
		return out, regcred.Errorf(regcred.Unavailable, "%w", err) // in the words of the CLI
	}
	return out, nil
}

// setMetadata tells the CLI what commands there are.
func (c cf) setMetadata(m metadata) error {
	ok, err := call[bool](c, "SetPluginMetadata", m)
	if err == nil && !ok {
		err = regcred.Errorf(regcred.Invalid, "the cf CLI refused the plugin's metadata")
	}
	return err
}

// org returns the targeted organization.
func (c cf) org() (place, error) {
	o, err := call[struct{ OrganizationFields place }](c, "GetCurrentOrg", "")
	return o.OrganizationFields, err
}

// space returns the targeted space.
func (c cf) space() (place, error) {
	s, err := call[struct{ SpaceFields place }](c, "GetCurrentSpace", "")
	return s.SpaceFields, err
}

func (c cf) loggedIn() (bool, error)      { return call[bool](c, "IsLoggedIn", "") }
func (c cf) skipsTLS() (bool, error)      { return call[bool](c, "IsSSLDisabled", "") }
func (c cf) apiEndpoint() (string, error) { return call[string](c, "ApiEndpoint", "") }
func (c cf) username() (string, error)    { return call[string](c, "Username", "") }

// accessToken returns the user's token as "bearer ...", which the CLI refreshes
// where it is about to expire.
func (c cf) accessToken() (string, error) { return call[string](c, "AccessToken", "") }
