using System.Net;
using System.Runtime.InteropServices;
using Quorumail.Server.CommandLine;

namespace Quorumail.Server.Demo;

/// <summary><c>smtp-server demo</c>: a cluster on this machine, to be tried and thrown away.</summary>
internal sealed class DemoCluster(int count, bool keep, TextWriter output, TextWriter error)
{
    /// <summary>How long the nodes may take to find one another.</summary>
    private static readonly TimeSpan ReadyTimeout = TimeSpan.FromSeconds(60);

    /// <summary>How long a node that was killed stays away: long enough to see the others go on.</summary>
    private static readonly TimeSpan RestartPause = TimeSpan.FromSeconds(10);

    /// <summary>A Ctrl-C reaches the nodes by itself; asked a second time they would stop at once.</summary>
    private static readonly TimeSpan OwnStop = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(30);

    private readonly Dictionary<DemoNode, DemoProcess> _processes = [];

    /// <summary>Runs until told to stop, and returns the exit code.</summary>
    public async Task<int> RunAsync(CancellationToken token)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(token);
        var byTerminal = false;
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => OnSignal(context, isInterrupt: true));
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => OnSignal(context, isInterrupt: false));
        var directory = Directory.CreateTempSubdirectory("quorumail-demo-").FullName;
        var nodes = DemoNode.Plan(count, directory);
        try
        {
            foreach (var node in nodes)
            {
                _processes[node] = DemoProcess.Start(node, nodes);
            }

            await output.WriteLineAsync($"Starting {count} nodes in {directory} …");
            if (await WaitUntilReadyAsync(nodes, stop.Token) is { } problem)
            {
                await error.WriteLineAsync($"smtp-server: {problem}");
                return ExitCode.CannotStart;
            }

            DemoText.Write(output, [.. nodes.Select(node => (node, _processes[node].Id))], directory, keep);
            await Task.WhenAll(nodes.Select(node => KeepAsync(node, nodes, stop.Token)));
            return ExitCode.Success;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return ExitCode.Success;
        }
        finally
        {
            await StopAsync(byTerminal);
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

    private async Task<string?> WaitUntilReadyAsync(IReadOnlyList<DemoNode> nodes, CancellationToken token)
    {
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(token);
        bound.CancelAfter(ReadyTimeout);
        using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(2) };
        foreach (var node in nodes)
        {
            try
            {
                while (!await IsReadyAsync(client, node, bound.Token))
                {
                    if (_processes[node] is { HasExited: true } ended)
                    {
                        await ended.EndAsync(StopTimeout);
                        return $"{node.Name} ended with exit code {ended.ExitCode}: {await LastLinesAsync(node, token)}";
                    }

                    await Task.Delay(TimeSpan.FromMilliseconds(100), bound.Token);
                }
            }
            catch (OperationCanceledException) when (!token.IsCancellationRequested)
            {
                return $"{node.Name} was not ready within {ReadyTimeout.TotalSeconds} s: {await LastLinesAsync(node, token)}";
            }
        }

        return null;
    }

    private static async Task<bool> IsReadyAsync(HttpClient client, DemoNode node, CancellationToken token)
    {
        try
        {
            using var answer = await client.GetAsync(new Uri(FormattableString.Invariant($"http://127.0.0.1:{node.HttpPort}/readyz")), token);
            return answer.StatusCode == HttpStatusCode.OK;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static async Task<string> LastLinesAsync(DemoNode node, CancellationToken token) =>
        string.Join(Environment.NewLine, (await File.ReadAllLinesAsync(node.LogPath, token)).TakeLast(5));

    private async Task KeepAsync(DemoNode node, IReadOnlyList<DemoNode> nodes, CancellationToken token)
    {
        while (true)
        {
            await _processes[node].WaitAsync(token);
            await output.WriteLineAsync($"{node.Name} has ended ({_processes[node].ExitCode}); it is started again in {RestartPause.TotalSeconds} s");
            await Task.Delay(RestartPause, token);
            _processes[node].Dispose();
            _processes[node] = DemoProcess.Start(node, nodes);
            await output.WriteLineAsync($"{node.Name} is back, process {_processes[node].Id}");
        }
    }

    private async Task StopAsync(bool byTerminal)
    {
        using var own = new CancellationTokenSource(byTerminal ? OwnStop : TimeSpan.Zero);
        await Task.WhenAll(_processes.Values.Select(async process =>
        {
            try
            {
                await process.WaitAsync(own.Token);
            }
            catch (OperationCanceledException)
            {
                process.Stop();
            }

            await process.EndAsync(StopTimeout);
            process.Dispose();
        }));
    }
}
