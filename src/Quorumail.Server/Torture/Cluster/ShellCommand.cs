using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using Quorumail.Core.Cluster;

namespace Quorumail.Server.Torture.Cluster;

/// <summary>A user's own command that does something to a node.</summary>
internal static class ShellCommand
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    /// <summary>Runs it to its end. What it prints goes where this process's errors go.</summary>
    /// <param name="option">Its name, for messages.</param>
    /// <param name="text">For /bin/sh.</param>
    /// <param name="index">Which node, 0 the first; the command is told 1, as QUORUMAIL_NODE.</param>
    /// <param name="address">The node's, as QUORUMAIL_ADDRESS.</param>
    /// <param name="token">Kills it.</param>
    /// <exception cref="TortureException">It failed, or took too long.</exception>
    public static async Task RunAsync(string option, string text, int index, PeerAddress address, CancellationToken token)
    {
        var start = new ProcessStartInfo("/bin/sh", ["-c", $"exec 1>&2 </dev/null\n{text}"]) { UseShellExecute = false };
        start.Environment["QUORUMAIL_NODE"] = (index + 1).ToString(CultureInfo.InvariantCulture);
        start.Environment["QUORUMAIL_ADDRESS"] = address.ToString();
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(token);
        bound.CancelAfter(Limit);
        try
        {
            using var process = Process.Start(start)!;
            try
            {
                await process.WaitForExitAsync(bound.Token);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
                throw;
            }

            if (process.ExitCode != 0)
            {
                throw new TortureException($"{option} for {address} ended with {process.ExitCode}: {text}");
            }
        }
        catch (OperationCanceledException e) when (!token.IsCancellationRequested)
        {
            throw new TortureException($"{option} for {address} took more than {Limit.TotalMinutes} minutes: {text}", e);
        }
        catch (Win32Exception e)
        {
            throw new TortureException($"{option} for {address} can't be run: {e.Message}", e);
        }
    }
}
