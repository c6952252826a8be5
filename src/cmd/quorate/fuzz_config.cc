// The text of a configuration file.
#include <cstdint>
#include <string_view>
#include <vector>

#include "cmd/quorate/config_file.h"
#include "cmd/quorate/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::cmd::Options options;
  std::vector<const quorate::cmd::Flag*> given;
  std::vector<quorate::cmd::Notice> notices;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (quorate::cmd::ReadConfigText(text, "fuzz", &options, &given).ok()) {
    (void)quorate::cmd::Validate(&options, &notices);
  }
  return 0;
}
