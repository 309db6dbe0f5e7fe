package password

import (
	"fmt"

	"github.com/roostmail/roost/core/backend"
)

// Limits bound the work that one stored password may ask for, so that a line in
// a file can not be used to stop the server. Each refusal names its option.
type Limits struct {
	Argon2MaxMemory int64 // bytes                                option argon2_max_memory
	Argon2MaxTime   int64 // passes over the memory               option argon2_max_time
	BcryptMaxCost   int64 // log2 of the rounds                   option bcrypt_max_cost
	CryptMaxRounds  int64 // of SHA256-CRYPT and SHA512-CRYPT     option crypt_max_rounds
	PBKDF2MaxRounds int64 // of PBKDF2 and SCRAM                  option pbkdf2_max_rounds
}

// LimitOptions documents the options that the limits are set by.
var LimitOptions = []backend.Option{
	{Name: "argon2_max_memory", Type: backend.OptionSize, Default: `"256M"`, Help: "largest memory that an ARGON2 hash may ask for"},
	{Name: "argon2_max_time", Type: backend.OptionInt, Default: "16", Help: "most passes that an ARGON2 hash may ask for"},
	{Name: "bcrypt_max_cost", Type: backend.OptionInt, Default: "14", Help: "highest cost of a BLF-CRYPT hash"},
	{Name: "crypt_max_rounds", Type: backend.OptionInt, Default: "1000000", Help: "most rounds of a SHA256-CRYPT or SHA512-CRYPT hash"},
	{Name: "pbkdf2_max_rounds", Type: backend.OptionInt, Default: "1000000", Help: "most rounds of a PBKDF2 or SCRAM hash"},
}

func (l Limits) argon2(memoryKiB, time uint32) error {
	if err := within("argon2_max_memory", int64(memoryKiB)*1024, l.Argon2MaxMemory); err != nil {
		return err
	}
	return within("argon2_max_time", int64(time), l.Argon2MaxTime)
}

func (l Limits) bcrypt(cost int) error {
	return within("bcrypt_max_cost", int64(cost), l.BcryptMaxCost)
}

func (l Limits) crypt(rounds uint64) error {
	return within("crypt_max_rounds", int64(rounds), l.CryptMaxRounds)
}

func (l Limits) pbkdf2(rounds uint64) error {
	return within("pbkdf2_max_rounds", int64(rounds), l.PBKDF2MaxRounds)
}

func within(option string, needed, allowed int64) error {
	if needed > allowed {
		return fmt.Errorf("the stored hash needs %d, the option %s allows %d", needed, option, allowed)
	}
	return nil
}
