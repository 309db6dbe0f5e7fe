package passwdfile

import "fmt"

// limits bound the work that one stored password may ask for, so that a line in
// the file can not be used to stop the server. Each refusal names its option.
type limits struct {
	argon2MaxMemory int64 // bytes                                option argon2_max_memory
	argon2MaxTime   int64 // passes over the memory               option argon2_max_time
	bcryptMaxCost   int64 // log2 of the rounds                   option bcrypt_max_cost
	cryptMaxRounds  int64 // of SHA256-CRYPT and SHA512-CRYPT     option crypt_max_rounds
	pbkdf2MaxRounds int64 // of PBKDF2 and SCRAM                  option pbkdf2_max_rounds
}

func (l limits) argon2(memoryKiB, time uint32) error {
	if err := within("argon2_max_memory", int64(memoryKiB)*1024, l.argon2MaxMemory); err != nil {
		return err
	}
	return within("argon2_max_time", int64(time), l.argon2MaxTime)
}

func (l limits) bcrypt(cost int) error {
	return within("bcrypt_max_cost", int64(cost), l.bcryptMaxCost)
}

func (l limits) crypt(rounds uint64) error {
	return within("crypt_max_rounds", int64(rounds), l.cryptMaxRounds)
}

func (l limits) pbkdf2(rounds uint64) error {
	return within("pbkdf2_max_rounds", int64(rounds), l.pbkdf2MaxRounds)
}

func within(option string, needed, allowed int64) error {
	if needed > allowed {
		return fmt.Errorf("the stored hash needs %d, the option %s allows %d", needed, option, allowed)
	}
	return nil
}
