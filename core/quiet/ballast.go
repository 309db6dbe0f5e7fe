package quiet

// ballastBytes is how much garbage a process may have beyond what it has in use, on top of what Go allows.
const ballastBytes = 8 << 20

// ballast is never touched, so the system gives no memory for it.
var ballast []byte

// Ballast makes collections of garbage rarer in a process with a small heap, which Go would collect for every few
// megabytes: a process that has little in use at rest, and works in bursts, spends much of its time on that otherwise. Go lets
// garbage grow to the size of what is in use, of which the ballast is a part that takes no memory. So garbage takes ballastBytes more while there is work; FreeMemory
// gives it back.
func Ballast() {
	if ballast == nil {
		ballast = make([]byte, ballastBytes)
	}
}
