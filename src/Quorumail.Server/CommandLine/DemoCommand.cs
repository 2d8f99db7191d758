using System.CommandLine;
using Quorumail.Server.Demo;

namespace Quorumail.Server.CommandLine;

/// <summary><c>smtp-server demo</c>: starts a cluster on this machine.</summary>
internal static class DemoCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var nodes = new Option<int>("--nodes") { Description = "how many, 1 to 7 (default 3)", DefaultValueFactory = _ => 3 };
        nodes.Between(1, 7);
        var keep = new Option<bool>("--keep") { Description = "leave the nodes' directories when the demonstration ends" };
        var command = new Command("demo", "Start a cluster of three nodes on this machine, and say what to try.") { nodes, keep };
        command.SetAction((parsed, token) => new DemoCluster(parsed.GetValue(nodes), parsed.GetValue(keep), Console.Out, Console.Error).RunAsync(token));
        return command;
    }
}
