package rancher_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	v1 "github.com/rancher/go-rancher/client"
	v2 "github.com/rancher/go-rancher/v2"

	"regcred.dev/regcredtest/fakecattle"
)

// environment is the id of the environment that the clients use.
const environment = "1a5"

// serve starts a fake, whose API key is "access" with "secret".
func serve(t *testing.T, role fakecattle.Role) (*fakecattle.Server, string) {
	t.Helper()
	fake := fakecattle.New(fakecattle.Options{
		Keys: map[string]fakecattle.Key{"access": {Secret: "secret", Environment: environment, Role: role}},
	})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return fake, server.URL
}

// many fills the environment with more registries than fit on two pages.
func many(fake *fakecattle.Server) []string {
	var names []string
	for i := range 230 {
		name := fmt.Sprintf("r%03d.example.com", i)
		fake.AddRegistry(environment, name)
		names = append(names, name)
	}
	return names
}

// login checks what Rancher pulls images of a server with.
func login(t *testing.T, fake *fakecattle.Server, server, want string) {
	t.Helper()
	user, password, _ := fake.Login(environment, server)
	if got := user + ":" + password; got != want {
		t.Errorf("images of %s are pulled with %s, want %s", server, got, want)
	}
}

func TestV1(t *testing.T) {
	fake, url := serve(t, fakecattle.Owner)
	names := many(fake)
	for _, at := range []string{url + "/v1", url + "/v1/projects/" + environment, url} {
		c, err := v1.NewRancherClient(&v1.ClientOpts{Url: at, AccessKey: "access", SecretKey: "secret"})
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		var found []string
		for page, err := c.Registry.List(nil); page != nil; page, err = page.Next() {
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Data {
				found = append(found, r.ServerAddress)
			}
		}
		if !slices.Equal(found, names) {
			t.Errorf("%s: %d registries on all pages, want %d", at, len(found), len(names))
		}
	}
}

func TestV1Life(t *testing.T) {
	fake, url := serve(t, fakecattle.Owner)
	c, err := v1.NewRancherClient(&v1.ClientOpts{Url: url + "/v1", AccessKey: "access", SecretKey: "secret"})
	must(t, err)
	registry, err := c.Registry.Create(&v1.Registry{ServerAddress: "r.example.com"})
	must(t, err)
	if _, err := c.Registry.Create(&v1.Registry{ServerAddress: "R.example.com"}); err == nil || !strings.Contains(err.Error(), "ServerAddressUsed") {
		t.Errorf("the same address again: %v", err)
	}
	if _, err := c.RegistryCredential.Create(&v1.RegistryCredential{RegistryId: registry.Id, PublicValue: "AWS", SecretValue: "1"}); err == nil || !strings.Contains(err.Error(), "email") {
		t.Errorf("without an email: %v", err)
	}
	credential, err := c.RegistryCredential.Create(&v1.RegistryCredential{RegistryId: registry.Id, PublicValue: "AWS", SecretValue: "1", Email: "x"})
	must(t, err)
	if credential.SecretValue != "1" || credential.State == "active" {
		t.Errorf("created: %+v", credential)
	}
	login(t, fake, "r.example.com", "AWS:1")

	list, err := c.RegistryCredential.List(&v1.ListOpts{Filters: map[string]any{"registryId": registry.Id}})
	must(t, err)
	if len(list.Data) != 1 || list.Data[0].SecretValue != "" || list.Data[0].State != "active" {
		t.Fatalf("the registry's credentials: %+v", list.Data)
	}
	credential = &list.Data[0]
	_, err = c.RegistryCredential.Update(credential, &v1.RegistryCredential{PublicValue: "AWS", SecretValue: "2", Email: "x"})
	must(t, err)
	login(t, fake, "r.example.com", "AWS:2")

	if err := c.RegistryCredential.Delete(credential); err == nil {
		t.Error("an active credential was deleted")
	}
	_, err = c.RegistryCredential.ActionDeactivate(credential)
	must(t, err)
	login(t, fake, "r.example.com", ":")
	credential, err = c.RegistryCredential.ById(credential.Id)
	must(t, err)
	_, err = c.RegistryCredential.ActionActivate(credential)
	must(t, err)
	login(t, fake, "r.example.com", "AWS:2")

	credential, err = c.RegistryCredential.ById(credential.Id)
	must(t, err)
	_, err = c.RegistryCredential.ActionDeactivate(credential)
	must(t, err)
	must(t, c.RegistryCredential.Delete(credential))
	if left := fake.Credentials(environment); len(left) > 0 {
		t.Errorf("left are %+v", left)
	}
}

// TestV2Beta: the newer version of the API asks for no email.
func TestV2Beta(t *testing.T) {
	fake, url := serve(t, fakecattle.Owner)
	many(fake)
	c, err := v2.NewRancherClient(&v2.ClientOpts{Url: url, AccessKey: "access", SecretKey: "secret"})
	must(t, err)
	list, err := c.Registry.List(&v2.ListOpts{Filters: map[string]any{"limit": "3000"}})
	must(t, err)
	if len(list.Data) != 230 {
		t.Fatalf("%d registries, want 230", len(list.Data))
	}
	credential, err := c.RegistryCredential.Create(&v2.RegistryCredential{RegistryId: list.Data[7].Id, PublicValue: "AWS", SecretValue: "1"})
	must(t, err)
	login(t, fake, list.Data[7].ServerAddress, "AWS:1")
	_, err = c.RegistryCredential.Update(credential, map[string]any{"secretValue": "2", "description": "by hand"})
	must(t, err)
	login(t, fake, list.Data[7].ServerAddress, "AWS:2")
}

// TestReadOnly: the client of others finds out by the schemas what it may not do.
func TestReadOnly(t *testing.T) {
	fake, url := serve(t, fakecattle.ReadOnly)
	fake.AddCredential(environment, fake.AddRegistry(environment, "r.example.com"), "AWS", "1")
	c, err := v1.NewRancherClient(&v1.ClientOpts{Url: url + "/v1", AccessKey: "access", SecretKey: "secret"})
	must(t, err)
	list, err := c.RegistryCredential.List(nil)
	must(t, err)
	if _, err := c.RegistryCredential.Update(&list.Data[0], map[string]any{"secretValue": "2"}); err == nil || !strings.Contains(err.Error(), "not updatable") {
		t.Errorf("an update by a reader: %v", err)
	}
	if _, err := c.Registry.Create(&v1.Registry{ServerAddress: "other.example.com"}); err == nil || !strings.Contains(err.Error(), "not creatable") {
		t.Errorf("a creation by a reader: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
