package azure

import (
	"net/url"
	"regexp"
)

// loginServer is the pattern of login servers: a registry's name has letters and
// digits, followed by a hyphen and a hash where it was created with a domain name
// label. Names with more labels are data and regional endpoints, which take no
// login. Hosts are matched in canonical form: lower case, no final dot, no port 443.
var loginServer = regexp.MustCompile(`^[a-z0-9]+(?:-[a-z0-9]+)?\.azurecr\.(io|cn|us|de)$`)

// defaultAudience is Azure Container Registry as Entra ID knows it, in all clouds.
const defaultAudience = "https://containerregistry.azure.net"

// clouds are Azure's, by the value of the setting "cloud": where their Entra ID is
// ("National clouds" in its documentation).
var clouds = map[string]*url.URL{
	"public":     {Scheme: "https", Host: "login.microsoftonline.com"},
	"china":      {Scheme: "https", Host: "login.partner.microsoftonline.cn"},
	"government": {Scheme: "https", Host: "login.microsoftonline.us"},
	"germany":    {Scheme: "https", Host: "login.microsoftonline.de"},
}

// cloudOf are the clouds by the last label of their registries' hosts.
var cloudOf = map[string]string{"io": "public", "cn": "china", "us": "government", "de": "germany"}

// cloudOfHost returns the cloud that a login server is in: the public one for hosts
// that are not Azure's.
func cloudOfHost(host string) string {
	if m := loginServer.FindStringSubmatch(host); m != nil {
		return cloudOf[m[1]]
	}
	return "public"
}
