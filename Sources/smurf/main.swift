print("smurf")
