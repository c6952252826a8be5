// Arguments, one a line; lines that begin with "ETCD_" are the environment.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cmd/quorate/options.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> args;
  std::vector<std::string> environment;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    std::string line(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    // A file of the fuzzer's choice is not read: fuzz_config does that without a disk.
    if (line.find("config") != std::string::npos || line.find("CONFIG") != std::string::npos) continue;
    (line.starts_with("ETCD_") ? environment : args).push_back(std::move(line));
  }
  const auto result = quorate::cmd::ParseOptions("quorate", args, environment);
  if (result.options) (void)quorate::cmd::CheckAvailable(*result.options);
  return 0;
}
