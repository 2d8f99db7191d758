namespace Quorumail.EndToEnd.Processes;

/// <summary>The signals that tests send (signal(7), Linux).</summary>
internal enum Signal
{
    /// <summary>Ends a process at once, without its knowing.</summary>
    Kill = 9,

    /// <summary>Asks a process to end.</summary>
    Terminate = 15,

    /// <summary>Lets a stopped process go on.</summary>
    Continue = 18,

    /// <summary>Stops a process where it is.</summary>
    Stop = 19,
}
