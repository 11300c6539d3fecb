// What passes between the host and the guest's init: the request, as files of
// the initramfs which avx512-run writes, and the answer, as frames.
#ifndef GUEST_PROTOCOL_H
#define GUEST_PROTOCOL_H

// Strings, each ended by NUL. The first argument is the path of the program,
// the second its argv[0].
#define REQUEST_ARGUMENTS   "/request/arguments"
#define REQUEST_ENVIRONMENT "/request/environment"
#define REQUEST_DIRECTORY   "/request/directory"
#define REQUEST_STDIN       "/request/stdin" // may be absent

// A frame is the two marks, the channel, the length (32 bits, little endian)
// and the data. The marks catch stray bytes on the parallel port.
#define FRAME_MARK_0        'F'
#define FRAME_MARK_1        'r'
#define FRAME_HEADER_BYTES  7
#define FRAME_MAXIMUM_BYTES 65536

enum frame_channel {
    FRAME_EXIT_STATUS, // one byte, the last frame of all
    FRAME_STDOUT,
    FRAME_STDERR,
};

// Statuses that are not the program's own
#define STATUS_OUT_OF_TIME 124
#define STATUS_FAILED      125 // the emulator or the guest
#define STATUS_NOT_STARTED 127

#endif
