// The YAML (or JSON) file of --config-file: the same settings under partly other names and types.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cmd/quorate/flag_table.h"
#include "cmd/quorate/options.h"

namespace quorate::cmd {

// Reads the file into *options (which holds the defaults) and appends to *given the rows whose keys it holds.
// Keys that etcd doesn't know are ignored, as etcd does.
Status ReadConfigFile(const std::string& path, Options* options, std::vector<const Flag*>* given);

// The same from text; `source` names it in errors.
Status ReadConfigText(std::string_view text, std::string_view source, Options* options,
                      std::vector<const Flag*>* given);

}  // namespace quorate::cmd
