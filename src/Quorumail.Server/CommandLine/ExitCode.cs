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

    /// <summary>
    /// The command ran, and what it is for is not so: a promise was broken under <c>torture</c>, or something depends still on a node that was asked to
    /// drain.
    /// </summary>
    public const int NotDone = 4;

    /// <summary>A second signal ended the process before it had stopped in order.</summary>
    public const int Interrupted = 130;

    /// <summary>A disk failed while the server ran (EX_IOERR): it stopped rather than promise what it can't keep.</summary>
    public const int DiskFailed = 74;
}
