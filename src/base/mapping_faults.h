// Reading a mapped file where the disk has failed, or where the file was cut short, is no error that a call
// returns: the kernel sends SIGBUS. The handler here turns it into one log line that names the file, the
// offset and the way out, and ends the process with a code of its own.
//
// Any thread may register and forget ranges; the handler reads the table without locks. A thread that faults
// in a range reads it, so the range is not forgotten meanwhile, and what its slot points to lives.
#pragma once

#include <cstddef>
#include <string>

namespace quorate {

// How the process ends after such a fault (EX_IOERR of sysexits.h).
constexpr int kExitMappedPageLost = 74;
// Ranges that can be known at once; faults in further ones end the process as if there were no handler.
constexpr size_t kMappedFileRangesMax = 256;

// For the program, once, after log::Configure and before threads start. Faults elsewhere, and SIGBUS sent by
// a process, go to the handler that was there before.
void InstallMappingFaultHandler();

// Says that [begin, begin + size) shows the file `path` from its first byte on, until destruction, which must
// come before the range is unmapped.
class MappedFileRange {
 public:
  MappedFileRange(const void* begin, size_t size, const std::string& path);
  ~MappedFileRange();
  MappedFileRange(const MappedFileRange&) = delete;
  MappedFileRange& operator=(const MappedFileRange&) = delete;

 private:
  const std::string path_;
  const std::string path_json_;  // Rendered here: the handler may not allocate.
  const size_t slot_;            // kMappedFileRangesMax: the table was full.
};

}  // namespace quorate
