using System.Diagnostics;
using System.Globalization;
using Quorumail.Cluster.Raft;

namespace Quorumail.Cluster.Tests.Raft;

public sealed class KillTests : IDisposable
{
    private const int Kills = 5;

    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Nothing_acknowledged_is_lost_by_kill_9_and_nothing_is_applied_twice()
    {
        HashSet<int> acknowledged = [];
        int seed = Environment.TickCount;
        Random random = new(seed);
        for (int round = 1; round <= Kills; round++)
        {
            int before = acknowledged.Count;
            await ProposeUntilKilledAsync(round * 1_000_000, random.Next(1, 1500), acknowledged);
            Assert.True(acknowledged.Count > before, $"round {round}, seed {seed}: nothing was acknowledged");
        }

        FileState state = new(_directory["state"]);
        await using ClusterNode log = KilledProposer.Create(_directory.Path, state);
        await log.StartAsync(Token);

        Assert.True(state.Numbers.Count == state.Numbers.Distinct().Count(), $"seed {seed}: applied twice");
        Assert.True(acknowledged.IsSubsetOf(state.Numbers), $"seed {seed}: lost {string.Join(' ', acknowledged.Except(state.Numbers))}");
    }

    private async Task ProposeUntilKilledAsync(int first, int acknowledgements, HashSet<int> acknowledged)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!)
        {
            ArgumentList = { "propose", _directory.Path, first.ToString(CultureInfo.InvariantCulture) },
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync(Token);
        for (int count = 0; await process.StandardOutput.ReadLineAsync(Token) is { } line; count++)
        {
            if (!int.TryParse(line, CultureInfo.InvariantCulture, out int number))
            {
                continue; // The last line may be torn.
            }

            acknowledged.Add(number);
            if (count == acknowledgements)
            {
                process.Kill(); // SIGKILL; what it had acknowledged by then is still read.
            }
        }

        await process.WaitForExitAsync(Token);
        Assert.True(process.ExitCode == 137, $"exit code {process.ExitCode}: {await errors}");
    }
}
