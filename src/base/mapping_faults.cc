#include "base/mapping_faults.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/logging.h"

namespace quorate {
namespace {

struct Slot {
  // 0 while free. `begin` is written last, with release order, and cleared first.
  std::atomic<bool> taken{false};
  std::atomic<uintptr_t> begin{0};
  std::atomic<size_t> size{0};
  std::atomic<const char*> path{nullptr};
  std::atomic<const char*> path_json{nullptr};
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

std::array<Slot, kMappedFileRangesMax> slots;
std::atomic<bool> reported{false};
struct sigaction previous;

// Text in memory that was there before: longer than a path of PATH_MAX bytes, escaped, and all else.
class Line {
 public:
  void Add(std::string_view text) {
    const size_t n = text.size() < sizeof text_ - size_ ? text.size() : sizeof text_ - size_;
    std::memcpy(text_ + size_, text.data(), n);
    size_ += n;
  }
  void Add(uint64_t value) {
    const auto end = std::to_chars(text_ + size_, text_ + sizeof text_, value);
    if (end.ec == std::errc()) size_ = static_cast<size_t>(end.ptr - text_);
  }
  std::string_view text() const { return {text_, size_}; }

 private:
  char text_[32 * 1024];
  size_t size_ = 0;
};
Line line;

const Slot* Find(uintptr_t address) {
  for (const Slot& slot : slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin != 0 && address >= begin && address - begin < slot.size.load(std::memory_order_relaxed)) {
      return &slot;
    }
  }
  return nullptr;
}

// Calls nothing but what signal-safety(7) allows.
[[noreturn]] void Report(const Slot& slot, uint64_t offset, bool bad_memory) {
  line.Add(R"("file":)");
  line.Add(slot.path_json.load(std::memory_order_relaxed));
  line.Add(R"(,"offset":)");
  line.Add(offset);
  line.Add(R"(,"error":")");
  struct stat info;
  if (bad_memory) {
    line.Add("the machine's memory is damaged there; replace it and start again");
  } else if (::stat(slot.path.load(std::memory_order_relaxed), &info) == 0 &&
             offset >= static_cast<uint64_t>(info.st_size)) {
    line.Add("the file was cut short while in use: it ends at byte ");
    line.Add(static_cast<uint64_t>(info.st_size));
    line.Add(
        "; restore this member from a snapshot, or remove it and add it anew so that it copies another "
        "member");
  } else {
    line.Add(
        "the disk could not read it; look into the kernel's log, then, on a good disk, restore this member "
        "from a snapshot, or remove it and add it anew so that it copies another member");
  }
  line.Add("\"");
  log::WriteFatalInSignal("base/mapping_faults.cc", "a page of a mapped file can't be read", line.text());
  ::_exit(kExitMappedPageLost);
}

void OnBusError(int signal, siginfo_t* info, void*) {
  const bool fault = info->si_code > 0;  // Else a process sent it.
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  const Slot* slot = fault ? Find(address) : nullptr;
  if (slot != nullptr) {
    // The first thread reports; others wait for the end of the process.
    while (reported.exchange(true)) ::pause();
    Report(*slot, address - slot->begin.load(std::memory_order_relaxed), info->si_code == BUS_MCEERR_AR);
  }
  ::sigaction(SIGBUS, &previous, nullptr);
  // A fault comes again by itself when the instruction is tried again.
  if (!fault) ::raise(signal);
}

size_t TakeSlot(const void* begin, size_t size, const std::string& path, const std::string& path_json) {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].taken.exchange(true, std::memory_order_acquire)) continue;
    slots[i].size.store(size, std::memory_order_relaxed);
    slots[i].path.store(path.c_str(), std::memory_order_relaxed);
    slots[i].path_json.store(path_json.c_str(), std::memory_order_relaxed);
    slots[i].begin.store(reinterpret_cast<uintptr_t>(begin), std::memory_order_release);
    return i;
  }
  return slots.size();
}

}  // namespace

void InstallMappingFaultHandler() {
  struct sigaction action {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, &previous);
}

MappedFileRange::MappedFileRange(const void* begin, size_t size, const std::string& path)
    : path_(path), path_json_(log::JsonString(path)), slot_(TakeSlot(begin, size, path_, path_json_)) {}

MappedFileRange::~MappedFileRange() {
  if (slot_ == slots.size()) return;
  slots[slot_].begin.store(0, std::memory_order_release);
  slots[slot_].taken.store(false, std::memory_order_release);
}

}  // namespace quorate
