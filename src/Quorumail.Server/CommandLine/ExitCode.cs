namespace Quorumail.Server.CommandLine;

/// <summary>What the process ends with.</summary>
internal static class ExitCode
{
    /// <summary>All went well; for the server: it was told to stop and did.</summary>
    public const int Success = 0;

    /// <summary>The server could not start: a port is taken, the data directory is in use or can't be read.</summary>
    public const int CannotStart = 1;

    /// <summary>The configuration or the command line is wrong.</summary>
    public const int BadConfiguration = 2;

    /// <summary>No server answered, or it refused.</summary>
    public const int NoAnswer = 3;

    /// <summary><c>torture</c>: a promise was broken, or the run does not show that it was kept.</summary>
    public const int PromiseBroken = 4;

    /// <summary>A second signal ended the process before it had stopped in order.</summary>
    public const int Interrupted = 130;

    /// <summary>A disk failed while the server ran (EX_IOERR): it stopped rather than promise what it can't keep.</summary>
    public const int DiskFailed = 74;
}
