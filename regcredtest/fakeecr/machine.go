package fakeecr

import (
	"net/http"
	"strings"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// Paths and headers of the services that give a machine its identity.
const (
	// CredentialsPath is where containers of ECS and EKS Pod Identity find theirs.
	CredentialsPath = "/v1/credentials"
	// The instance metadata service (IMDSv2) of EC2.
	metadataPath      = "/latest/"
	metadataTokenPath = "/latest/api/token"
	metadataRolesPath = "/latest/meta-data/iam/security-credentials/"
	metadataDocument  = "/latest/dynamic/instance-identity/document"
	metadataTTLHeader = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	metadataHeader    = "X-Aws-Ec2-Metadata-Token"
	metadataToken     = "imds-token"
	machineRoleName   = "machine"
	// MachineRegion is where the machine says that it is.
	MachineRegion = "eu-west-3"
)

func isMachine(r *http.Request) bool {
	return r.URL.Path == CredentialsPath || strings.HasPrefix(r.URL.Path, metadataPath)
}

// machine answers as the identity service of a container, or of an instance.
func (s *Server) machine(w http.ResponseWriter, r *http.Request) {
	if s.Begin(w, r, MachineIdentity) != fake.Serve {
		return
	}
	switch {
	case s.o.MachineRole == "":
		http.NotFound(w, r)
	case r.URL.Path == CredentialsPath:
		if r.Header.Get("Authorization") != s.o.MachineToken {
			s.Write(w, http.StatusUnauthorized, map[string]string{"code": "AccessDenied", "message": "the token is not valid"})
			return
		}
		s.machineKeys(w)
	case r.URL.Path == metadataTokenPath:
		if r.Method != http.MethodPut || r.Header.Get(metadataTTLHeader) == "" {
			http.Error(w, "", http.StatusForbidden)
			return
		}
		w.Header().Set(metadataTTLHeader, r.Header.Get(metadataTTLHeader))
		_, _ = w.Write([]byte(metadataToken))
	case r.Header.Get(metadataHeader) != metadataToken:
		http.Error(w, "", http.StatusUnauthorized)
	case r.URL.Path == metadataRolesPath:
		_, _ = w.Write([]byte(machineRoleName))
	case r.URL.Path == metadataRolesPath+machineRoleName:
		s.machineKeys(w)
	case r.URL.Path == metadataDocument:
		s.Write(w, http.StatusOK, map[string]string{"region": MachineRegion})
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) machineKeys(w http.ResponseWriter) {
	p := s.session(sessionOf(s.o.MachineRole, "i-0a1b2c3d", s.o.Roles[s.o.MachineRole], s.Now().Add(6*time.Hour)))
	s.Write(w, http.StatusOK, map[string]string{
		"Code": "Success", "Type": "AWS-HMAC", "AccountId": p.account(),
		"AccessKeyId": p.accessKeyID, "SecretAccessKey": p.secret, "Token": p.token,
		"LastUpdated": s.Now().UTC().Format(time.RFC3339), "Expiration": p.expires.UTC().Format(time.RFC3339),
	})
}
