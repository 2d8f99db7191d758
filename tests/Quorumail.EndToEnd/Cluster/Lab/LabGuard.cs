using System.Diagnostics;
using System.Globalization;

namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>
/// A shell that outlives the tests by a moment if they are killed: it ends the processes and undoes the mounts that were
/// entrusted to it and not taken back, and no others.
/// </summary>
internal sealed class LabGuard : IDisposable
{
    private const string Script = """
        trap '' HUP INT TERM
        while read -r what which; do
          case $what in
            +) all="$all $which" ;;
            -) rest=; for each in $all; do [ "$each" = "$which" ] || rest="$rest $each"; done; all=$rest ;;
          esac
        done
        for each in $all; do case $each in /*) ;; *) kill -KILL -- "-$each" ;; esac; done 2>/dev/null
        for each in $all; do case $each in /*) umount -l "$each" ;; esac; done 2>/dev/null
        """;

    private readonly Process _shell;
    private readonly Lock _gate = new();

    /// <summary>Starts it, in a session of its own.</summary>
    public LabGuard()
    {
        var start = new ProcessStartInfo("setsid", ["/bin/sh", "-c", Script]) { UseShellExecute = false, RedirectStandardInput = true };
        _shell = Process.Start(start)!;
    }

    /// <summary>Entrusts a session's processes.</summary>
    public void Watch(int session) => Say('+', session.ToString(CultureInfo.InvariantCulture));

    /// <summary>Takes them back: they have ended.</summary>
    public void Forget(int session) => Say('-', session.ToString(CultureInfo.InvariantCulture));

    /// <summary>Entrusts a mount.</summary>
    public void Watch(string mount) => Say('+', mount);

    /// <summary>Takes it back.</summary>
    public void Forget(string mount) => Say('-', mount);

    /// <inheritdoc/>
    public void Dispose()
    {
        _shell.StandardInput.Close();
        _shell.WaitForExit();
        _shell.Dispose();
    }

    private void Say(char what, string which)
    {
        lock (_gate)
        {
            _shell.StandardInput.Write(string.Create(CultureInfo.InvariantCulture, $"{what} {which}\n"));
            _shell.StandardInput.Flush();
        }
    }
}
