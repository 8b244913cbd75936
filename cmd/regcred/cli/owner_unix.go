//go:build unix

package cli

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// ownerOf says in words whose a file is: "user alice's".
func ownerOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return anothers
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return anothers
	}
	uid := strconv.FormatUint(uint64(stat.Uid), 10)
	if u, err := user.LookupId(uid); err == nil {
		return fmt.Sprintf("user %s's", u.Username)
	}
	return fmt.Sprintf("user %s's", uid)
}
