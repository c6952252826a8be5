#include "raft/datadriven_test.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace quorate::raft {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSeparator = "----";

std::vector<std::string>& DirectoriesFromCommandLine() {
  static std::vector<std::string> directories;
  return directories;
}

std::string Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

std::vector<std::string> SplitList(std::string_view list) {
  std::vector<std::string> values;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    values.push_back(Trim(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return values;
}

void ParseCommandLine(std::string_view line, Command& command) {
  size_t at = 0;
  auto skip_spaces = [&] { at = std::min(line.find_first_not_of(" \t", at), line.size()); };
  auto take_until = [&](const char* stops) {
    const size_t end = std::min(line.find_first_of(stops, at), line.size());
    const std::string text(line.substr(at, end - at));
    at = end;
    return text;
  };
  command.name = take_until(" \t");
  for (skip_spaces(); at < line.size(); skip_spaces()) {
    CommandArg arg;
    arg.key = take_until(" \t=");
    if (at < line.size() && line[at] == '=') {
      ++at;
      if (at < line.size() && line[at] == '(') {
        ++at;
        arg.values = SplitList(take_until(")"));
        at = std::min(at + 1, line.size());
      } else {
        arg.values.push_back(take_until(" \t"));
      }
    }
    command.args.push_back(std::move(arg));
  }
}

class ScriptReader {
 public:
  explicit ScriptReader(const std::string& path) {
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) lines_.push_back(line);
  }

  bool Next(Command& command) {
    command = {};
    while (!AtEnd() && (Trim(Line()).empty() || Line().front() == '#')) ++at_;
    if (AtEnd()) return false;
    command.line = static_cast<int>(at_) + 1;
    ParseCommandLine(lines_[at_++], command);
    while (!AtEnd() && Line() != kSeparator) command.input += lines_[at_++] + "\n";
    EXPECT_FALSE(AtEnd()) << "line " << command.line << ": no ----";
    ++at_;
    if (!AtEnd() && Line() == kSeparator) {
      ++at_;
      while (at_ + 1 < lines_.size() && !(lines_[at_] == kSeparator && lines_[at_ + 1] == kSeparator)) {
        command.expected += lines_[at_++] + "\n";
      }
      at_ += 2;
    } else {
      while (!AtEnd() && !Trim(Line()).empty()) command.expected += lines_[at_++] + "\n";
    }
    return true;
  }

 private:
  bool AtEnd() const { return at_ >= lines_.size(); }
  const std::string& Line() const { return lines_[at_]; }

  std::vector<std::string> lines_;
  size_t at_ = 0;
};

std::vector<std::string> Roots() {
  if (!DirectoriesFromCommandLine().empty()) return DirectoriesFromCommandLine();
  if (const char* directory = std::getenv("RAFT_TESTDATA"); directory != nullptr) return {directory};
  if (const char* shared = std::getenv("QUORATE_SHARED_DATA"); shared != nullptr) {
    return {(fs::path(shared) / "raft").string()};
  }
  for (fs::path at = fs::current_path();; at = at.parent_path()) {
    const fs::path candidate = at / "shared" / "data" / "raft";
    if (fs::is_directory(candidate)) return {candidate.string()};
    if (at == at.parent_path()) return {};
  }
}

ScriptKind KindOf(const Command& command) {
  if (command.name == "committed" || command.name == "vote") return ScriptKind::kQuorum;
  if (command.name == "simple" || command.name == "enter-joint" || command.name == "leave-joint") {
    return ScriptKind::kConfChange;
  }
  return ScriptKind::kInteraction;
}

}  // namespace

std::vector<std::string> Command::Values(std::string_view key) const {
  std::vector<std::string> values;
  for (const CommandArg& arg : args) {
    if (arg.key == key) values.insert(values.end(), arg.values.begin(), arg.values.end());
  }
  return values;
}

std::vector<Command> ReadScript(const std::string& path) {
  std::vector<Command> commands;
  ScriptReader reader(path);
  for (Command command; reader.Next(command);) commands.push_back(command);
  return commands;
}

std::vector<std::string> FindScripts(ScriptKind kind) {
  std::vector<std::string> found;
  for (const std::string& root : Roots()) {
    if (!fs::is_directory(root)) continue;
    for (const fs::directory_entry& file : fs::recursive_directory_iterator(root)) {
      if (!file.is_regular_file() || file.path().extension() != ".txt") continue;
      Command first;
      if (ScriptReader(file.path().string()).Next(first) && KindOf(first) == kind) {
        found.push_back(file.path().string());
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

void RunScript(const std::string& path, const std::function<std::string(const Command&)>& run) {
  for (const Command& command : ReadScript(path)) {
    std::string actual = run(command);
    if (!actual.empty() && actual.back() != '\n') actual += '\n';
    ASSERT_EQ(actual, command.expected) << path << ":" << command.line << ": " << command.name;
  }
}

TEST(ReadScriptTest, UnderstandsTheFormat) {
  const fs::path path = fs::path(testing::TempDir()) / ("raft_script." + std::to_string(getpid()));
  std::ofstream(path) << "# a comment\n\ncmd 1 a=b list=(1, 2,x)\ninput one\ninput two\n----\nout\n\n"
                         "other\n----\n----\nwith\n\nblank\n----\n----\n\nlast key=(v)\n----\n";
  const std::vector<Command> commands = ReadScript(path.string());
  fs::remove(path);
  ASSERT_EQ(commands.size(), 3u);
  EXPECT_EQ(commands[0].name, "cmd");
  EXPECT_EQ(commands[0].line, 3);
  EXPECT_EQ(commands[0].args[0].key, "1");
  EXPECT_TRUE(commands[0].args[0].values.empty());
  EXPECT_EQ(commands[0].Values("list"), (std::vector<std::string>{"1", "2", "x"}));
  EXPECT_EQ(commands[0].input, "input one\ninput two\n");
  EXPECT_EQ(commands[0].expected, "out\n");
  EXPECT_EQ(commands[1].expected, "with\n\nblank\n");
  EXPECT_EQ(commands[2].Values("key"), (std::vector<std::string>{"v"}));
  EXPECT_EQ(commands[2].expected, "");
}

}  // namespace quorate::raft

// Instead of gtest's own main: directories with scripts may be named on the command line.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) quorate::raft::DirectoriesFromCommandLine().emplace_back(argv[i]);
  return RUN_ALL_TESTS();
}
