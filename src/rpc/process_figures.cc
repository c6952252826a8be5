#include "rpc/process_figures.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace quorate::rpc {
namespace {

double BootTimeSeconds() {
  std::ifstream stat("/proc/stat");
  std::string word;
  while (stat >> word) {
    double seconds = 0;
    if (word == "btime" && stat >> seconds) return seconds;
  }
  return 0;
}

}  // namespace

ProcessFigures ReadProcessFigures() {
  ProcessFigures figures;
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  // The second field is the program's name in parentheses and may hold anything; proc(5) counts from 1.
  const size_t name_end = line.rfind(')');
  if (name_end != std::string::npos) {
    std::istringstream fields(line.substr(name_end + 1));
    const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    std::string field;
    for (int number = 3; fields >> field; ++number) {
      if (number == 14 || number == 15) figures.cpu_seconds += std::stod(field) / ticks;
      if (number == 22) figures.start_time_seconds = BootTimeSeconds() + std::stod(field) / ticks;
      if (number == 23) figures.virtual_bytes = std::stoull(field);
      if (number == 24)
        figures.resident_bytes = std::stoull(field) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    }
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    figures.open_files += entry.path().empty() ? 0 : 1;
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) figures.open_files_max = limit.rlim_cur;
  return figures;
}

}  // namespace quorate::rpc
