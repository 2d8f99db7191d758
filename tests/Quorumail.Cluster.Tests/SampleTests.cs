using System.Diagnostics;

namespace Quorumail.Cluster.Tests;

public sealed class SampleTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_sample_does_what_it_says()
    {
        ProcessStartInfo start = new("dotnet", [Path.Combine(AppContext.BaseDirectory, "Quorumail.Samples.SharedState.dll")])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        using Process sample = Process.Start(start)!;
        Task<string> output = sample.StandardOutput.ReadToEndAsync(Token);
        Task<string> error = sample.StandardError.ReadToEndAsync(Token);
        await sample.WaitForExitAsync(Token);

        Assert.Equal((0, ""), (sample.ExitCode, await error));
        foreach (string line in (string[])
            [
                "node2 reads rate_limit_192.168.1.100 = 45",
                "node2 has the lock: True, node3 has it: False",
                "node1 reads it after node3 has deleted it: not there",
                "Total nodes: 3",
                "reads still = here",
            ])
        {
            Assert.Contains(line, await output, StringComparison.Ordinal);
        }

        Assert.Matches("node1 sees node. lead in term [0-9]+", await output);
    }
}
