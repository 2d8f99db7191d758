using System.Runtime.Versioning;

// Signals, file modes, /proc and the peers are Linux's.
[assembly: SupportedOSPlatform("linux")]
