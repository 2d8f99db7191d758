using Quorumail.EndToEnd.Processes;

namespace Quorumail.EndToEnd.Peers;

/// <summary>The foreign mail programs that peers.sh fetches; it runs once before the first test that wants one.</summary>
internal static class PeerPrograms
{
    private static readonly TimeSpan FetchLimit = TimeSpan.FromMinutes(5);
    private static readonly string Peers = Path.Combine(Repository.Root, ".tools", "peers");
    private static readonly SemaphoreSlim OneAtATime = new(1);
    private static bool _isFetched;

    /// <summary>Where nodemailer is installed.</summary>
    public static string NodeDirectory { get; } = Path.Combine(Repository.Root, ".tools", "node");

    /// <summary>Skips the running test, saying why, if <paramref name="peer"/> could not be fetched.</summary>
    public static async Task RequireAsync(string peer, CancellationToken token)
    {
        await OneAtATime.WaitAsync(token);
        try
        {
            if (!_isFetched)
            {
                await FetchAsync(token);
                _isFetched = true;
            }
        }
        finally
        {
            OneAtATime.Release();
        }

        var missing = Path.Combine(Peers, peer + ".missing");
        Assert.SkipWhen(File.Exists(missing), $"{peer} is not to be had: {(File.Exists(missing) ? await File.ReadAllTextAsync(missing, token) : "")}");
    }

    /// <summary>Skips the running test if it can't act as root.</summary>
    public static void RequireRoot() => Assert.SkipUnless(Environment.UserName == "root", "Postfix's master and mount(8) need root.");

    /// <summary>The path of a fetched program.</summary>
    public static string Locate(string program) => Path.Combine(Peers, "bin", program);

    private static async Task FetchAsync(CancellationToken token)
    {
        var (code, output) = await ChildProcess.RunAsync(
            Path.Combine(Repository.Tests, "peers.sh"), [], FetchLimit, token);
        Assert.True(code == 0, output);
    }
}
