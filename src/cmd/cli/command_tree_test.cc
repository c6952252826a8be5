#include "cmd/cli/command_tree.h"

#include <gtest/gtest.h>

#include "cmd/cli/completion.h"

namespace quorate::cmd {
namespace {

// A small program with what the tools use: nested commands, global and own flags, each kind of value.
class Fixture : public testing::Test {
 protected:
  Fixture() : tree("tool", "A tool.") {
    tree.root()->add_option("-w,--write-out", format, "set the output format")->default_str("simple");
    tree.AddDuration(tree.root(), "--timeout", &timeout, "time to wait");
    const auto ran = [this](const char* name) {
      return [this, name](const Arguments& arguments) {
        called = name;
        given = arguments;
        return 7;
      };
    };
    CLI::App* snapshot = tree.Add(tree.root(), "snapshot", "Manages snapshots", "", {});
    tree.Add(snapshot, "status", "Shows one", "<filename>", ran("status"));
    CLI::App* restore = tree.Add(snapshot, "restore", "Restores one", "<filename>", ran("restore"));
    restore->add_option("--data-dir", data_dir, "where to")->required();
    restore->add_option("--bump-revision", bump, "how much");
    restore->add_flag("--mark-compacted", mark, "mark");
    tree.Add(tree.root(), "put", "Puts", "<key> <value>", ran("put"));
    tree.Add(tree.root(), "get", "Gets", "<key>", ran("get"));
  }

  CommandTree tree;
  std::string format = "simple";
  int64_t timeout = 10'000'000'000;
  std::string data_dir;
  uint64_t bump = 0;
  bool mark = false;
  std::string called;
  Arguments given;
};
using CommandTreeTest = Fixture;

TEST_F(CommandTreeTest, FindsCommandsFlagsAndArguments) {
  EXPECT_EQ(tree.Run({"snapshot", "restore", "a.db", "--data-dir", "-odd", "--bump-revision=12",
                      "--mark-compacted"}),
            7);
  EXPECT_EQ(called, "restore");
  EXPECT_EQ(given.values, std::vector<std::string>({"a.db"}));
  EXPECT_EQ(data_dir, "-odd");
  EXPECT_EQ(bump, 12u);
  EXPECT_TRUE(mark);
}

TEST_F(CommandTreeTest, FlagsMayStandBeforeTheCommand) {
  EXPECT_EQ(
      tree.Run({"--data-dir", "get", "-wjson", "--timeout=1m30s", "snap", "rest", "--mark-compacted=false"}),
      7);
  EXPECT_EQ(called, "restore");
  EXPECT_EQ(data_dir, "get");
  EXPECT_EQ(format, "json");
  EXPECT_EQ(timeout, 90'000'000'000);
  EXPECT_FALSE(mark);
}

TEST_F(CommandTreeTest, AnArgumentMayHaveTheNameOfACommand) {
  EXPECT_EQ(tree.Run({"put", "get", "status", "-w", "table", "--", "-w", "x"}), 7);
  EXPECT_EQ(called, "put");
  EXPECT_EQ(given.values, std::vector<std::string>({"get", "status", "-w", "x"}));
  EXPECT_EQ(given.before_dashes, 2u);
  EXPECT_EQ(format, "table");
}

TEST_F(CommandTreeTest, TheLastOfAFlagGivenTwiceCounts) {
  EXPECT_EQ(tree.Run({"get", "-w", "json", "-w", "fields", "--write-out="}), 7);
  EXPECT_EQ(format, "");
}

TEST_F(CommandTreeTest, SaysWhatIsWrong) {
  const struct {
    std::vector<std::string> args;
    const char* error;
  } cases[] = {
      {{"snapshto"}, "unknown command \"snapshto\" for \"tool\"; did you mean snapshot?"},
      {{"snapshot", "statsu", "f"}, "unknown command \"statsu\" for \"tool snapshot\"; did you mean status?"},
      {{"zzzz"}, "unknown command \"zzzz\" for \"tool\""},
      {{"snapshot", "restore", "--datadir", "x"}, "unknown flag: --datadir; did you mean --data-dir?"},
      {{"get", "--write-ou=x"}, "unknown flag: --write-ou; did you mean --write-out?"},
      {{"get", "--qqqqq"}, "unknown flag: --qqqqq"},
      {{"get", "-x"}, "unknown shorthand flag: 'x' in -x"},
      {{"snapshot", "restore", "-data-dir", "x"},
       "unknown shorthand flag: 'd' in -data-dir; did you mean --data-dir?"},
      {{"get", "--write-out"}, "flag needs an argument: --write-out"},
      {{"get", "-w"}, "flag needs an argument: 'w' in -w"},
      {{"get", "--=x"}, "bad flag syntax: --=x"},
      {{"snapshot", "restore", "f"}, "required flag(s) \"data-dir\" not set"},
      {{"snapshot", "restore", "--bump-revision", "-1"},
       "invalid argument \"-1\" for \"--bump-revision\" flag: it must be a whole number, 0 or more"},
      {{"snapshot", "restore", "--mark-compacted=maybe"},
       "invalid argument \"maybe\" for \"--mark-compacted\" flag: it must be true or false"},
      {{"get", "--timeout", "10"},
       "invalid argument \"10\" for \"--timeout\" flag: time: missing unit in duration \"10\""},
  };
  for (const auto& c : cases) {
    const auto outcome = tree.Parse(c.args);
    EXPECT_EQ(outcome.command, nullptr) << c.error;
    EXPECT_EQ(outcome.error, c.error);
    EXPECT_EQ(outcome.exit_code, 1);
  }
}

TEST_F(CommandTreeTest, HelpNamesFlagsOfAllLevels) {
  for (const auto& args :
       {std::vector<std::string>{"snapshot", "restore", "--help"}, {"-h", "snapshot", "restore"}}) {
    const auto outcome = tree.Parse(args);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_NE(outcome.out.find("tool snapshot restore <filename> [flags]"), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find("--data-dir"), std::string::npos);
    EXPECT_NE(outcome.out.find("-w, --write-out=\"simple\""), std::string::npos);
    EXPECT_NE(outcome.out.find("--timeout=\"10s\""), std::string::npos);
  }
  EXPECT_NE(tree.Parse({"snapshot"}).out.find("Restores one"), std::string::npos);
  EXPECT_NE(tree.Parse({}).out.find("snapshot"), std::string::npos);
}

TEST_F(CommandTreeTest, CompletionScriptsNameEveryCommandAndFlag) {
  for (const char* shell : {"bash", "zsh", "fish", "powershell"}) {
    const auto script = CompletionScript(tree, tree.root(), shell);
    ASSERT_TRUE(script.ok()) << shell;
    for (const char* word : {"snapshot", "restore", "status", "data-dir", "mark-compacted", "write-out"}) {
      EXPECT_NE(script->find(word), std::string::npos) << shell << " lacks " << word;
    }
    EXPECT_EQ(script->find("CASES"), std::string::npos);
  }
  EXPECT_EQ(Message(CompletionScript(tree, tree.root(), "bsh").status()),
            "invalid argument \"bsh\" for \"tool completion\"; did you mean bash or zsh?");
}

}  // namespace
}  // namespace quorate::cmd
