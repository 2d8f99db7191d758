namespace Quorumail.Server.Demo;

/// <summary>The signals that processes are sent here (signal(7), Linux).</summary>
internal enum DemoSignal
{
    /// <summary>Ends it at once, without its knowing.</summary>
    Kill = 9,

    /// <summary>Asks it to end.</summary>
    Terminate = 15,

    /// <summary>Lets it go on.</summary>
    Continue = 18,

    /// <summary>Stops it where it is.</summary>
    Stop = 19,
}
