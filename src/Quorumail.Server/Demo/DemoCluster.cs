using System.Runtime.InteropServices;
using Quorumail.Server.CommandLine;

namespace Quorumail.Server.Demo;

/// <summary><c>smtp-server demo</c>: a cluster on this machine, to be tried and thrown away.</summary>
internal sealed class DemoCluster(int count, bool keep, TextWriter output, TextWriter error)
{
    /// <summary>How long a node that was killed stays away: long enough to see the others go on.</summary>
    private static readonly TimeSpan RestartPause = TimeSpan.FromSeconds(10);

    /// <summary>A Ctrl-C reaches the nodes by itself; asked a second time they would stop at once.</summary>
    private static readonly TimeSpan OwnStop = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(30);

    /// <summary>Runs until told to stop, and returns the exit code.</summary>
    public async Task<int> RunAsync(CancellationToken token)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(token);
        var byTerminal = false;
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => OnSignal(context, isInterrupt: true));
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => OnSignal(context, isInterrupt: false));
        var directory = Directory.CreateTempSubdirectory("quorumail-demo-").FullName;
        var nodes = new DemoNodes(DemoNode.Plan(count, directory));
        try
        {
            foreach (var node in nodes.All)
            {
                nodes.Start(node);
            }

            await output.WriteLineAsync($"Starting {count} nodes in {directory} …");
            if (await nodes.WaitUntilReadyAsync(stop.Token) is { } problem)
            {
                await error.WriteLineAsync($"smtp-server: {problem}");
                return ExitCode.CannotStart;
            }

            DemoText.Write(output, [.. nodes.All.Select(node => (node, nodes[node].Id))], directory, keep);
            await Task.WhenAll(nodes.All.Select(node => KeepAsync(node, nodes, stop.Token)));
            return ExitCode.Success;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return ExitCode.Success;
        }
        finally
        {
            await StopAsync(nodes, byTerminal);
            if (!keep)
            {
                Directory.Delete(directory, recursive: true);
            }
        }

        void OnSignal(PosixSignalContext context, bool isInterrupt)
        {
            context.Cancel = true;
            byTerminal = isInterrupt;
            stop.Cancel();
        }
    }

    private async Task KeepAsync(DemoNode node, DemoNodes nodes, CancellationToken token)
    {
        while (true)
        {
            await nodes[node].WaitAsync(token);
            await output.WriteLineAsync($"{node.Name} has ended ({nodes[node].ExitCode}); it is started again in {RestartPause.TotalSeconds} s");
            await Task.Delay(RestartPause, token);
            await output.WriteLineAsync($"{node.Name} is back, process {nodes.Start(node).Id}");
        }
    }

    private static async Task StopAsync(DemoNodes nodes, bool byTerminal)
    {
        using var own = new CancellationTokenSource(byTerminal ? OwnStop : TimeSpan.Zero);
        await Task.WhenAll(nodes.Processes.Select(async process =>
        {
            try
            {
                await process.WaitAsync(own.Token);
            }
            catch (OperationCanceledException)
            {
                process.Send(DemoSignal.Terminate);
            }

            await process.EndAsync(StopTimeout);
            process.Dispose();
        }));
    }
}
