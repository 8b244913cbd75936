package rancher_test

import (
	"strings"

	"regcred.dev/regcredtest/fakecattle"
)

// put has a stranger write a login through Rancher's API, with a description of his
// own, or remove it.
func put(fake *fakecattle.Server, host, login string) {
	user, password, _ := strings.Cut(login, ":")
	for _, c := range fake.Credentials(environment) {
		if !strings.EqualFold(c.Registry, host) {
			continue
		}
		change := map[string]string{"publicValue": user, "secretValue": password, "description": "by hand"}
		if login == "" {
			change = map[string]string{"state": "removed"}
		}
		fake.Change(c.ID, change)
		return
	}
	if login == "" {
		return
	}
	registry := ""
	for id, address := range fake.Registries(environment) {
		if strings.EqualFold(address, host) {
			registry = id
		}
	}
	if registry == "" {
		registry = fake.AddRegistry(environment, host)
	}
	fake.AddCredential(environment, registry, user, password)
}
